//! The declared assets: `tests/fetch/assets.toml` and the lists that it names.

use crate::error::{FetchError, Result, at};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where a package comes from.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The Python package index.
    Pip,
    /// The Python package index, for a package that has no wheel.
    Sdist,
    /// The system's Debian archive.
    Apt,
}

/// The build of a wheel to take on every machine, since only its data is used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wheel {
    /// Version of Python.
    pub(crate) python: String,
    /// Platform tag.
    pub(crate) platform: String,
}

/// A package that is downloaded and unpacked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    /// Where from.
    pub(crate) kind: Kind,
    /// Exact version.
    pub(crate) version: String,
    /// For packages that differ by platform.
    pub(crate) wheel: Option<Wheel>,
    /// Digest of the downloaded file, where it is the same everywhere.
    pub(crate) sha256: Option<String>,
}

/// A file made from one file of a package.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asset {
    /// Name in messages.
    #[serde(default)]
    pub(crate) name: String,
    /// Package that has the source.
    pub(crate) package: String,
    /// Source inside the package.
    pub(crate) file: String,
    /// Digest of the source.
    pub(crate) file_sha256: String,
    /// Script beside `assets.toml` that makes the asset.
    pub(crate) make: String,
    /// An option for the script.
    #[serde(default)]
    pub(crate) framing: String,
    /// Path below `assets/`.
    pub(crate) destination: String,
    /// Digest of the asset.
    pub(crate) sha256: String,
    /// Accepted classes, for label files.
    #[serde(default)]
    pub(crate) imagenet_ids: String,
}

/// A file or folder of a package that a set is made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// Package that has it.
    pub(crate) package: String,
    /// Path inside the package.
    pub(crate) path: String,
    /// Digest, of a file.
    pub(crate) sha256: Option<String>,
}

/// Folders that one script makes. Their bytes may depend on versions of libraries, so their files are counted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Set {
    /// Script beside `assets.toml`: its arguments are the folder to make, then the sources.
    pub(crate) make: String,
    /// Files beside `assets.toml` that the script reads.
    #[serde(default)]
    pub(crate) uses: Vec<String>,
    /// What of packages it reads.
    pub(crate) source: Vec<Source>,
    /// File below `assets/` that says what the set was made of.
    pub(crate) stamp: String,
    /// Folders below `assets/data/` and the number of files in each.
    pub(crate) folders: BTreeMap<String, usize>,
}

/// A file that is written from the declaration alone.
#[derive(Debug)]
pub(crate) struct Labels {
    /// Path below `assets/`.
    pub(crate) destination: String,
    /// Content.
    pub(crate) text: String,
}

/// Everything that is declared.
#[derive(Debug)]
pub(crate) struct Declaration {
    /// Packages by name.
    pub(crate) packages: BTreeMap<String, Package>,
    /// Assets in order.
    pub(crate) assets: Vec<Asset>,
    /// Label files.
    pub(crate) labels: Vec<Labels>,
    /// Folders made by scripts.
    pub(crate) sets: Vec<Set>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    package: BTreeMap<String, Package>,
    asset: Vec<Asset>,
    list: Vec<List>,
    set: Vec<Set>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    rows: String,
    make: String,
    labels: String,
}

const COLUMNS: &str = "destination,package,file,file_sha256,framing,sha256,imagenet_ids";

impl Declaration {
    /// Reads the declaration from its folder.
    pub(crate) fn read(folder: &Path) -> Result<Declaration> {
        let path = folder.join("assets.toml");
        let text = std::fs::read_to_string(&path).map_err(at(&path))?;
        let file: File =
            toml::from_str(&text).map_err(|e| FetchError::Declaration { path: path.clone(), what: e.to_string() })?;
        let mut out = Declaration { packages: file.package, assets: file.asset, labels: Vec::new(), sets: file.set };
        for list in &file.list {
            let assets = rows(&folder.join(&list.rows), &list.make)?;
            out.labels.push(labels(&list.labels, &assets));
            out.assets.extend(assets);
        }
        for source in out.sets.iter().flat_map(|set| &set.source) {
            if !out.packages.contains_key(&source.package) {
                let what = format!("{} comes from {}, which is not declared", source.path, source.package);
                return Err(FetchError::Declaration { path, what });
            }
        }
        let mut seen = BTreeSet::new();
        for asset in &out.assets {
            let what = if !out.packages.contains_key(&asset.package) {
                format!("{} comes from {}, which is not declared", asset.destination, asset.package)
            } else if !seen.insert(&asset.destination) {
                format!("{} is declared twice", asset.destination)
            } else {
                continue;
            };
            return Err(FetchError::Declaration { path, what });
        }
        Ok(out)
    }
}

/// Assets of a list: comma-separated, no quoting.
fn rows(path: &Path, make: &str) -> Result<Vec<Asset>> {
    let bad = |what: String| FetchError::Declaration { path: path.to_path_buf(), what };
    let text = std::fs::read_to_string(path).map_err(at(path))?;
    let mut lines = text.lines();
    if lines.next() != Some(COLUMNS) {
        return Err(bad(format!("the first line is not {COLUMNS}")));
    }
    let row = |(n, line): (usize, &str)| match line.split(',').collect::<Vec<_>>()[..] {
        [destination, package, file, file_sha256, framing, sha256, imagenet_ids] => Ok(Asset {
            name: destination.to_owned(),
            package: package.to_owned(),
            file: file.to_owned(),
            file_sha256: file_sha256.to_owned(),
            make: make.to_owned(),
            framing: framing.to_owned(),
            destination: destination.to_owned(),
            sha256: sha256.to_owned(),
            imagenet_ids: imagenet_ids.to_owned(),
        }),
        _ => Err(bad(format!("line {} does not have seven columns", n + 2))),
    };
    lines.enumerate().map(row).collect()
}

/// The label file of a list: file name, accepted classes, source.
fn labels(destination: &str, assets: &[Asset]) -> Labels {
    let mut text = String::from("file,imagenet_ids_accepted,source\n");
    for asset in assets.iter().filter(|a| !a.imagenet_ids.is_empty()) {
        let file = asset.destination.rsplit('/').next().unwrap_or_default();
        text += &format!("{file},{},{}/{}\n", asset.imagenet_ids, asset.package, asset.file);
    }
    Labels { destination: destination.to_owned(), text }
}

//! Folders that a script makes out of packages: rendered text, files of known types.

use crate::command::run;
use crate::declaration::{Declaration, Set};
use crate::digest::verify;
use crate::error::{FetchError, Result, at};
use crate::make::create_parent;
use crate::package::unpack;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// What the set is made of, in a line: digest of scripts and words, then packages with versions.
pub(crate) fn stamp(declaration: &Declaration, set: &Set, scripts: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for name in std::iter::once(&set.make).chain(&set.uses) {
        let path = scripts.join(name);
        hash.update(std::fs::read(&path).map_err(at(&path))?);
    }
    let mut line: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    for source in &set.source {
        let version = declaration.packages.get(&source.package).map_or("", |p| p.version.as_str());
        line += &format!(" {} {version} {}", source.package, source.path);
    }
    Ok(line + "\n")
}

/// Whether the set lies below this folder, made of the same things and with all its files.
pub(crate) fn is_there(set: &Set, stamp: &str, assets: &Path) -> bool {
    let count = |folder: &str| std::fs::read_dir(assets.join("data").join(folder)).map_or(0, Iterator::count);
    std::fs::read_to_string(assets.join(&set.stamp)).is_ok_and(|have| have == stamp)
        && set.folders.iter().all(|(folder, &files)| count(folder) == files)
}

/// Downloads the set's packages, runs its script and puts the folders in their place.
pub(crate) fn make(
    declaration: &Declaration,
    set: &Set,
    stamp: &str,
    (scripts, python, target): (&Path, &Path, &Path),
    say: &dyn Fn(String),
) -> Result<()> {
    let work = tempfile::tempdir().map_err(at(std::env::temp_dir()))?;
    let staging = work.path().join("made");
    let mut unpacked = BTreeMap::new();
    let mut args: Vec<OsString> = vec![scripts.join(&set.make).into(), staging.clone().into()];
    for source in &set.source {
        let Some(package) = declaration.packages.get(&source.package) else { continue };
        if !unpacked.contains_key(source.package.as_str()) {
            say(format!("download {} {}", source.package, package.version));
            unpacked.insert(source.package.as_str(), unpack(&source.package, package, python, work.path())?);
        }
        let path = unpacked[source.package.as_str()].join(&source.path);
        if let Some(pinned) = &source.sha256 {
            verify(&path, &format!("{} of {}", source.path, source.package), pinned)?;
        }
        args.push(path.into());
    }
    let ended = run(python, &args, work.path(), "", ("run the data scripts", "see PTQ_ORACLE_PYTHON"))?;
    if !ended.success {
        return Err(FetchError::Step { step: set.make.clone(), said: ended.said });
    }
    say(format!("{}: {}", set.make, ended.stdout));
    install(set, stamp, &staging, target)
}

/// Copies the set's folders from `from` below `assets/data/` and writes the stamp, which is last.
pub(crate) fn install(set: &Set, stamp: &str, from: &Path, assets: &Path) -> Result<()> {
    for (name, &wanted) in &set.folders {
        let (source, destination) = (from.join(name), assets.join("data").join(name));
        if destination.exists() {
            std::fs::remove_dir_all(&destination).map_err(at(&destination))?;
        }
        std::fs::create_dir_all(&destination).map_err(at(&destination))?;
        let mut copied = 0;
        for entry in std::fs::read_dir(&source).map_err(at(&source))?.flatten() {
            let file = destination.join(entry.file_name());
            std::fs::copy(entry.path(), &file).map_err(at(&file))?;
            copied += 1;
        }
        if copied != wanted {
            let said = format!("{name} has {copied} files, {wanted} are declared");
            return Err(FetchError::Step { step: set.make.clone(), said });
        }
    }
    let path = assets.join(&set.stamp);
    create_parent(&path)?;
    std::fs::write(&path, stamp).map_err(at(&path))
}

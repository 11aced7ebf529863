//! Making the missing assets: packages into a temporary folder, one run of each script, digests checked, files moved.

use crate::command::run;
use crate::declaration::{Asset, Declaration};
use crate::digest::verify;
use crate::error::{FetchError, Result, at};
use crate::package::unpack;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Makes these assets. `say` is told what is going on.
pub(crate) fn make(
    declaration: &Declaration,
    missing: &[&Asset],
    (scripts, python, target): (&Path, &Path, &Path),
    say: &dyn Fn(String),
) -> Result<()> {
    let work = tempfile::tempdir().map_err(at(std::env::temp_dir()))?;
    let staging = work.path().join("made");
    let mut unpacked = BTreeMap::new();
    for name in missing.iter().map(|a| a.package.as_str()).collect::<BTreeSet<_>>() {
        let Some(package) = declaration.packages.get(name) else { continue };
        say(format!("download {name} {}", package.version));
        unpacked.insert(name, unpack(name, package, python, work.path())?);
    }
    for script in missing.iter().map(|a| a.make.as_str()).collect::<BTreeSet<_>>() {
        let mut jobs = String::new();
        for asset in missing.iter().filter(|a| a.make == script) {
            let Some(folder) = unpacked.get(asset.package.as_str()) else { continue };
            let (source, made) = (folder.join(&asset.file), staging.join(&asset.destination));
            verify(&source, &format!("{} of {}", asset.file, asset.package), &asset.file_sha256)?;
            create_parent(&made)?;
            jobs += &format!("{}\t{}\t{}\n", source.display(), made.display(), asset.framing);
        }
        let path = scripts.join(script);
        let ended = run(python, &[&path], work.path(), &jobs, ("run the export scripts", "see PTQ_ORACLE_PYTHON"))?;
        if !ended.success {
            return Err(FetchError::Step { step: script.to_owned(), said: ended.said });
        }
        say(format!("{script}: {}", ended.stdout));
    }
    for asset in missing {
        let made = staging.join(&asset.destination);
        verify(&made, &asset.name, &asset.sha256)?;
        let destination = target.join(&asset.destination);
        create_parent(&destination)?;
        // Copied beside its place and renamed, so that a file that is there is whole.
        let near = destination.with_extension("part");
        std::fs::copy(&made, &near).map_err(at(&near))?;
        std::fs::rename(&near, &destination).map_err(at(&destination))?;
    }
    Ok(())
}

/// Makes the folder of a file.
pub(crate) fn create_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent).map_err(at(parent))
}

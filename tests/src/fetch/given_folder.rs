//! Taking the assets from the folder that `PTQ_ASSETS` names, which has the layout of `assets/`.

use crate::declaration::Declaration;
use crate::digest::is_pinned;
use crate::error::{FetchError, Result, at};
use crate::make::create_parent;
use std::path::Path;

/// What became of the files.
pub(crate) struct Taken {
    /// Files in all.
    pub(crate) files: usize,
    /// How many were copied; the others were there already.
    pub(crate) copied: usize,
    /// How many have the pinned digest; the others are taken as they are, since the user named the folder.
    pub(crate) pinned: usize,
}

/// Copies every declared file that differs.
pub(crate) fn take(declaration: &Declaration, folder: &Path, target: &Path) -> Result<Taken> {
    let mut taken = Taken { files: 0, copied: 0, pinned: 0 };
    let labels = declaration.labels.iter().map(|l| (l.destination.as_str(), None));
    for (file, pinned) in declaration.assets.iter().map(|a| (a.destination.as_str(), Some(&a.sha256))).chain(labels) {
        let (source, destination) = (folder.join(file), target.join(file));
        let Ok(bytes) = std::fs::read(&source) else {
            return Err(FetchError::Folder { folder: folder.to_path_buf(), file: file.to_owned() });
        };
        taken.files += 1;
        taken.pinned += usize::from(match pinned {
            Some(digest) => is_pinned(&source, digest)?,
            None => declaration.labels.iter().any(|l| l.destination == file && l.text.as_bytes() == bytes),
        });
        if std::fs::read(&destination).is_ok_and(|have| have == bytes) {
            continue;
        }
        create_parent(&destination)?;
        std::fs::write(&destination, bytes).map_err(at(&destination))?;
        taken.copied += 1;
    }
    Ok(taken)
}

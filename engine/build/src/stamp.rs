//! The null build's short cut: when the manifest, every file that the last build saw and every file that it wrote still
//! have their stamps, nothing else is looked at.

use ptq_cache::{Digest, FileStamp, Store};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Name of the record in the store.
const NOTE: &str = "stamp";

/// What the last complete build saw and wrote.
#[derive(Serialize, Deserialize, PartialEq)]
pub(crate) struct Stamp {
    /// Digest of the manifest's text, the overrides, the selection and this program's rules.
    request: Digest,
    files: Vec<(PathBuf, Option<FileStamp>)>,
}

impl Stamp {
    /// The stamp of these files now.
    pub(crate) fn of(request: Digest, paths: &[PathBuf]) -> Stamp {
        let mut paths: Vec<&PathBuf> = paths.iter().collect();
        paths.sort();
        paths.dedup();
        Stamp { request, files: paths.into_iter().map(|p| (p.clone(), stamp_of(p))).collect() }
    }

    /// Whether the last build left exactly this request and these files behind, and all were old enough to trust.
    pub(crate) fn holds(store: &Store, request: Digest) -> bool {
        let Some(old) = store.note(NOTE).and_then(|n| serde_json::from_slice::<Stamp>(&n).ok()) else { return false };
        let now = SystemTime::now();
        old.request == request
            && old
                .files
                .iter()
                .all(|(path, stamp)| stamp.as_ref().is_some_and(|s| s.is_settled(now)) && stamp_of(path) == *stamp)
    }

    /// Remembers a complete build. Files that changed within the clock's grain are left to the next full build.
    pub(crate) fn save(&self, store: &Store) {
        let now = SystemTime::now();
        let settled = self.files.iter().all(|(_, s)| s.as_ref().is_some_and(|s| s.is_settled(now)));
        let value = if settled { serde_json::to_vec(self).unwrap_or_default() } else { Vec::new() };
        store.set_note(NOTE, value);
    }
}

fn stamp_of(path: &Path) -> Option<FileStamp> {
    std::fs::metadata(path).ok().map(|m| FileStamp::of(&m))
}

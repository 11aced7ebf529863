//! Stamps of everything that a build looked at, to tell whether another build could see something else.

use ptq_cache::FileStamp;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Files and folders with their stamps at one time; `None` for what was not there.
#[derive(Default)]
pub(super) struct Snapshot {
    stamps: Vec<(PathBuf, Option<FileStamp>)>,
    taken: Option<SystemTime>,
    /// Whether a stamp was so young that a later edit need not show in it.
    young: bool,
}

/// After this long, every stamp is old enough that a new look settles the matter.
const GRAIN: Duration = Duration::from_millis(2100);

impl Snapshot {
    /// The stamps of these paths now.
    pub(super) fn of(paths: &[PathBuf]) -> Snapshot {
        let mut paths: Vec<PathBuf> = paths.to_vec();
        paths.sort();
        paths.dedup();
        let now = SystemTime::now();
        let stamps: Vec<(PathBuf, Option<FileStamp>)> =
            paths.into_iter().map(|p| (stamp(&p), p)).map(|(s, p)| (p, s)).collect();
        let young = stamps.iter().any(|(_, s)| s.as_ref().is_some_and(|s| !s.is_settled(now)));
        Snapshot { stamps, taken: Some(now), young }
    }

    /// Number of paths.
    pub(super) fn len(&self) -> usize {
        self.stamps.len()
    }

    /// Whether a stamp is another one now.
    pub(super) fn is_outdated(&self) -> bool {
        self.stamps.iter().any(|(path, old)| stamp(path) != *old)
    }

    /// When to look again although no stamp has changed; `None` when nothing can hide.
    pub(super) fn recheck_in(&self) -> Option<Duration> {
        let age = self.taken?.elapsed().unwrap_or(GRAIN);
        self.young.then(|| GRAIN.saturating_sub(age))
    }
}

fn stamp(path: &Path) -> Option<FileStamp> {
    std::fs::metadata(path).ok().map(|m| FileStamp::of(&m))
}

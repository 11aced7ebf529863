//! The folders that are asked for events: those of every file, those of every sample, and, for what does not exist,
//! the nearest folder that does. Never single files: a file that is saved by renaming another over it loses its watch.

use super::within;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use ptq_cache::FileStamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Watched folders.
pub(super) struct Roots {
    watcher: RecommendedWatcher,
    /// Folders with the identity that they had when they were watched.
    watched: BTreeMap<PathBuf, Option<FileStamp>>,
    problem: Option<String>,
}

impl Roots {
    /// Calls `hint` whenever something happens in a followed folder, outside these folders of our own.
    ///
    /// # Errors
    /// Why the system gives no events.
    pub(super) fn new(own: Vec<PathBuf>, hint: impl Fn() + Send + 'static) -> Result<Roots, String> {
        let own: Vec<PathBuf> = own.iter().map(|p| absolute(p)).collect();
        let handler = move |event: notify::Result<notify::Event>| {
            let ours = |e: &notify::Event| !e.paths.is_empty() && e.paths.iter().all(|p| within(&absolute(p), &own));
            // Reading is an event too; reacting to it would never end.
            if event.is_ok_and(|e| matches!(e.kind, EventKind::Access(_)) || ours(&e)) {
                return;
            }
            hint();
        };
        let watcher = notify::recommended_watcher(handler).map_err(|e| e.to_string())?;
        Ok(Roots { watcher, watched: BTreeMap::new(), problem: None })
    }

    /// Watches the folders of these paths and no others. Folders that were made anew are watched anew.
    pub(super) fn follow(&mut self, paths: &[PathBuf]) {
        let mut wanted = BTreeSet::new();
        for path in paths {
            let path = absolute(path);
            // A link's target and the folder of the link can both change.
            for found in [Some(path.clone()), path.canonicalize().ok()].into_iter().flatten() {
                if found.is_dir() {
                    wanted.insert(found.clone());
                }
                let parent = found.ancestors().skip(1).find(|p| p.is_dir());
                wanted.extend(parent.map(Path::to_owned));
            }
        }
        let gone: Vec<PathBuf> = self.watched.keys().filter(|p| !wanted.contains(*p)).cloned().collect();
        for path in gone {
            self.watched.remove(&path);
            let _ = self.watcher.unwatch(&path);
        }
        for path in wanted {
            let identity = std::fs::metadata(&path).ok().map(|m| FileStamp::of(&m));
            let same = |old: &Option<FileStamp>| match (old, &identity) {
                (Some(a), Some(b)) => a.same_file(b),
                _ => false,
            };
            if self.watched.get(&path).is_some_and(same) {
                continue;
            }
            let _ = self.watcher.unwatch(&path);
            match self.watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(path, identity)),
                // Gone again: its parent is watched and tells when it comes back.
                Err(_) if !path.exists() => {}
                Err(e) => self.problem = Some(format!("{}: {e}", path.display())),
            }
        }
    }

    /// Why the system does not watch everything (most often a limit on watched folders).
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

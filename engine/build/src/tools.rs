//! What tools of the manifest say of themselves. Asked by the scan, once a build, and again by the short cut of a null build: no
//! stamp of a file tells a tool's version.

use crate::command::{Run, absolute, find};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest answer.
const TIME: Duration = Duration::from_secs(60);

/// A command and what it said last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    words: Vec<String>,
    root: PathBuf,
    /// Its output, or why there is none.
    pub(crate) said: Result<String, String>,
}

impl Answer {
    /// Asks a command, whose words may be files below `root`.
    pub(crate) fn of(words: &[String], root: &Path) -> Answer {
        let said = absolute(words, root).map_err(|e| e.to_string()).and_then(|given| {
            let (env, folder, cancelled) = (BTreeMap::new(), std::env::temp_dir(), || false);
            let run = Run {
                words: &given,
                folder: &folder,
                env: &env,
                time_limit: TIME,
                max_bytes: u64::MAX,
                cancelled: &cancelled,
            };
            let said = run.run().map_err(|broken| broken.to_string())?;
            // Some tools tell their version on the other channel.
            let out = if said.out.trim().is_empty() { said.err } else { said.out };
            Ok(out.trim().to_owned())
        });
        Answer { words: words.to_vec(), root: root.to_owned(), said }
    }

    /// Whether it says the same now.
    pub(crate) fn holds(&self) -> bool {
        Answer::of(&self.words, &self.root) == *self
    }

    /// The program's file, if there is one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        find(Path::new(absolute(&self.words, &self.root).ok()?.first()?))
    }
}

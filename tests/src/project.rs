//! A throw-away project folder for one test.

use crate::workspace_root;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A folder with a manifest: a temporary one, removed when dropped, or a named one that the next run empties.
pub struct TestProject {
    path: PathBuf,
    _removed_on_drop: Option<tempfile::TempDir>,
    _held: Option<File>,
}

impl TestProject {
    /// A folder with this `ptq.toml`.
    ///
    /// # Panics
    /// When the temporary folder cannot be written.
    pub fn new(manifest: &str) -> TestProject {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let project = TestProject { path: dir.path().to_owned(), _removed_on_drop: Some(dir), _held: None };
        project.write("ptq.toml", manifest.as_bytes());
        project
    }

    /// This folder with this `ptq.toml`; for projects that a whole suite shares, also between processes: what an
    /// earlier run left is built upon, and the folder is locked until the project is dropped or [`TestProject::release`]d.
    ///
    /// # Panics
    /// When the folder cannot be locked or written.
    pub fn at(path: &Path, manifest: &str) -> TestProject {
        std::fs::create_dir_all(path).expect("a test folder");
        let lock = File::create(path.with_extension("lock")).expect("a lock file");
        lock.lock().expect("a lock");
        let project = TestProject { path: path.to_owned(), _removed_on_drop: None, _held: Some(lock) };
        project.write("ptq.toml", manifest.as_bytes());
        project
    }

    /// Lets other processes have a shared folder; call it when its files are written and built.
    pub fn release(&mut self) {
        self._held = None;
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, with its parent folders; one that holds these bytes already is left alone.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.file(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder in the temporary folder");
        }
        if std::fs::read(&path).ok().as_deref() != Some(bytes) {
            std::fs::write(path, bytes).expect("a file in the temporary folder");
        }
    }

    /// Copies a file or a folder of files of the workspace into the project.
    ///
    /// # Panics
    /// When it does not exist or cannot be written.
    pub fn copy(&self, from: &str, to: &str) {
        let source = workspace_root().join(from);
        if source.is_dir() {
            for entry in std::fs::read_dir(&source).expect("a readable folder").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                self.copy(&format!("{from}/{name}"), &format!("{to}/{name}"));
            }
        } else {
            let bytes = std::fs::read(&source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
            self.write(to, &bytes);
        }
    }
}

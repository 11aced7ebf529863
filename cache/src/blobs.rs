//! Large blobs: one file each, `cas/<first two digits>/<digest>`, read-only, appearing by rename.

use crate::{Digest, StoreError};
use bytes::Bytes;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

pub(crate) struct Blobs {
    root: PathBuf,
    counter: AtomicU64,
}

impl Blobs {
    pub(crate) fn new(root: &Path) -> Blobs {
        Blobs { root: root.to_owned(), counter: AtomicU64::new(0) }
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("cas").join(&hex[..2]).join(hex)
    }

    pub(crate) fn write(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let target = self.path(digest);
        // A file that is here counts as young again, so that a collection beside us leaves it to the new result.
        if fs::File::open(&target).and_then(|file| file.set_modified(SystemTime::now())).is_ok() || target.exists() {
            return Ok(());
        }
        let tmp_dir = self.root.join("tmp");
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let tmp = tmp_dir.join(format!("{}-{n}", std::process::id()));
        for dir in [Some(tmp_dir.as_path()), target.parent()].into_iter().flatten() {
            fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
        }
        let write = || -> std::io::Result<()> {
            let mut file = fs::File::create(&tmp)?;
            file.write_all(bytes)?;
            let mut permissions = file.metadata()?.permissions();
            permissions.set_readonly(true);
            fs::set_permissions(&tmp, permissions)?;
            fs::rename(&tmp, &target)
        };
        write().map_err(|source| {
            let _ = fs::remove_file(&tmp);
            StoreError::Io { path: target.clone(), source }
        })
    }

    /// The bytes as they are on disk, not yet verified.
    pub(crate) fn read(&self, digest: &Digest) -> Option<Bytes> {
        fs::read(self.path(digest)).ok().map(Bytes::from)
    }

    pub(crate) fn remove(&self, digest: &Digest) {
        let _ = fs::remove_file(self.path(digest));
    }

    fn files(&self) -> impl Iterator<Item = fs::DirEntry> {
        let folders = fs::read_dir(self.root.join("cas")).into_iter().flatten().flatten();
        folders.flat_map(|dir| fs::read_dir(dir.path()).into_iter().flatten().flatten())
    }

    /// Digests that files are named for.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.files().filter_map(|f| Digest::from_hex(f.file_name().to_str()?)).collect()
    }

    /// Number and total size of all files.
    pub(crate) fn tally(&self) -> (u64, u64) {
        self.files().filter_map(|file| file.metadata().ok()).fold((0, 0), |(n, bytes), m| (n + 1, bytes + m.len()))
    }
}

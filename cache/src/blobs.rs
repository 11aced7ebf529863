//! Large blobs: one file each, `cas/<first two digits>/<digest>`, read-only, appearing by rename; very large ones may be lists of
//! pieces of others (`parts.rs`).

use crate::parts::{self, Parts};
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
    parts: Parts,
}

impl Blobs {
    pub(crate) fn new(root: &Path) -> Blobs {
        Blobs { root: root.to_owned(), counter: AtomicU64::new(0), parts: Parts::default() }
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("cas").join(&hex[..2]).join(hex)
    }

    pub(crate) fn write(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        // A file that is here counts as young again, so that a collection beside us leaves it to the new result; so do those that it lists.
        if self.touch(digest) {
            parts::needs(self, digest).iter().for_each(|file| _ = self.touch(file));
            return Ok(());
        }
        if self.parts.write(self, digest, bytes)? { Ok(()) } else { self.write_file(digest, bytes) }
    }

    /// The folder of the store.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a file young again; false where it is not there.
    pub(crate) fn touch(&self, digest: &Digest) -> bool {
        let target = self.path(digest);
        fs::File::open(&target).and_then(|file| file.set_modified(SystemTime::now())).is_ok() || target.exists()
    }

    /// Size of a file.
    pub(crate) fn size(&self, digest: &Digest) -> u64 {
        fs::metadata(self.path(digest)).map_or(0, |m| m.len())
    }

    /// Whether a blob of this size is there with all that its file lists; nothing of it is read where it is kept whole.
    pub(crate) fn is_whole(&self, digest: &Digest, size: u64) -> bool {
        match fs::metadata(self.path(digest)) {
            Ok(m) if m.len() == size => true,
            Ok(_) => {
                let needs = parts::needs(self, digest);
                !needs.is_empty() && needs.iter().all(|file| self.path(file).is_file())
            }
            Err(_) => false,
        }
    }

    /// The file that holds exactly the bytes of a blob, not verified; `None` for one that is a list of pieces.
    #[cfg(feature = "remote")]
    pub(crate) fn whole(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.path(digest);
        (path.is_file() && parts::needs(self, digest).is_empty()).then_some(path)
    }

    /// The file of a blob that is kept whole.
    pub(crate) fn open_whole(&self, digest: &Digest) -> Option<fs::File> {
        fs::File::open(self.path(digest)).ok()
    }

    /// Writes these bytes as the file of this digest. One that is there holds the same, or a list: what others list of it stays.
    pub(crate) fn write_file(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_as(digest, bytes, |tmp, target| fs::rename(tmp, target))
    }

    /// Writes a list of pieces as the file of this digest, unless there is one: others may list pieces of it.
    pub(crate) fn write_list(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_as(digest, bytes, |tmp, target| match fs::hard_link(tmp, target) {
            Ok(()) => fs::remove_file(tmp),
            Err(_) if target.is_file() => fs::remove_file(tmp),
            // A file system without links.
            Err(_) => fs::rename(tmp, target),
        })
    }

    fn write_as(
        &self,
        digest: &Digest,
        bytes: &[u8],
        place: impl FnOnce(&Path, &Path) -> std::io::Result<()>,
    ) -> Result<(), StoreError> {
        let target = self.path(digest);
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
            place(&tmp, &target)
        };
        write().map_err(|source| {
            let _ = fs::remove_file(&tmp);
            StoreError::Io { path: target.clone(), source }
        })
    }

    /// Makes a file of the same folder the blob of a digest.
    #[cfg(feature = "remote")]
    pub(crate) fn adopt(&self, file: &Path, digest: &Digest) -> Result<(), StoreError> {
        let target = self.path(digest);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
        }
        let mut permissions = fs::metadata(file).map_err(StoreError::io(file))?.permissions();
        permissions.set_readonly(true);
        let moved = fs::set_permissions(file, permissions).and_then(|()| fs::rename(file, &target));
        moved.map_err(|source| StoreError::Io { path: target, source })
    }

    /// The bytes as they are on disk, not yet verified.
    pub(crate) fn read(&self, digest: &Digest) -> Option<Bytes> {
        let bytes = fs::read(self.path(digest)).ok()?;
        let found = parts::read(self, digest, bytes);
        if found.is_none() {
            // A list that lacks a file is no blob: it must not look as if it were there.
            self.remove(digest);
        }
        found
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

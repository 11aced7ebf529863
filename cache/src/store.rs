//! The store: one folder that remembers.

use crate::action_result::{ActionResult, Output, tree_bytes, tree_entries};
use crate::blobs::Blobs;
use crate::index::{Index, JOURNAL, Kind};
use crate::parts::PIECES;
use crate::{Digest, FileStamp, StoreError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// File of the index.
const INDEX: &str = "index-v1.redb";
/// Blobs below this size live in the index.
const SMALL: usize = 4096;
/// How often a file that changes while it is read is read again.
const MAX_READS: usize = 10;

/// Counts and sizes, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Action results.
    pub actions: u64,
    /// Blobs, small ones included.
    pub blobs: u64,
    /// Bytes of all blobs.
    pub bytes: u64,
    /// Corrupt blobs found and removed by this process.
    pub corrupt: u64,
}

/// A store in one folder. Cheap to share behind a reference; all methods take `&self`.
pub struct Store {
    root: PathBuf,
    pub(crate) blobs: Blobs,
    index: Mutex<Index>,
    corrupt: AtomicU64,
}

impl Drop for Store {
    fn drop(&mut self) {
        // What cannot be written is made again by the next build.
        let _ = self.flush();
    }
}

#[derive(Serialize, Deserialize)]
struct Stamped {
    stamp: FileStamp,
    digest: Digest,
}

impl Store {
    /// Opens the store in this folder, making it where it does not exist.
    ///
    /// # Errors
    /// When the folder or its index cannot be read or made.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        std::fs::create_dir_all(root).map_err(StoreError::io(root))?;
        let index = Index::open(root.join(INDEX))?;
        Ok(Store {
            root: root.to_owned(),
            blobs: Blobs::new(root),
            index: Mutex::new(index),
            corrupt: AtomicU64::new(0),
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores bytes and returns their digest.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if bytes.len() < SMALL {
            self.index().put(Kind::SmallBlob, &digest.0, bytes.to_vec());
        } else {
            self.blobs.write(&digest, bytes)?;
        }
        Ok(digest)
    }

    /// Takes a file of this folder as the blob of a digest that the caller has just computed from its bytes.
    ///
    /// # Errors
    /// When it cannot be moved.
    #[cfg(feature = "remote")]
    pub(crate) fn adopt(&self, file: &Path, digest: &Digest) -> Result<(), StoreError> {
        self.blobs.adopt(file, digest)
    }

    /// The bytes of a digest, verified. Corrupt ones are removed and missing from then on.
    pub fn get(&self, digest: &Digest) -> Option<Bytes> {
        // What is known costs nothing, a file that is not there little.
        let known = self.index().known(Kind::SmallBlob, &digest.0).map(Bytes::copy_from_slice);
        let small = || self.index().get(Kind::SmallBlob, &digest.0).map(Bytes::copy_from_slice);
        let bytes = known.or_else(|| self.blobs.read(digest)).or_else(small)?;
        if Digest::of(&bytes) == *digest {
            return Some(bytes);
        }
        self.corrupt.fetch_add(1, Ordering::Relaxed);
        self.index().remove(Kind::SmallBlob, &digest.0);
        self.blobs.remove(digest);
        None
    }

    /// Corrupt blobs that this process has found so far.
    pub fn corrupt(&self) -> u64 {
        self.corrupt.load(Ordering::Relaxed)
    }

    /// Reads every blob once and removes those whose bytes are not what their name says; returns how many.
    pub fn sweep(&self) -> u64 {
        let before = self.corrupt();
        let small = self.index().digests(Kind::SmallBlob);
        for digest in small.into_iter().chain(self.blobs.digests()) {
            let _ = self.get(&digest);
        }
        self.corrupt() - before
    }

    /// Whether a digest is here, without reading it.
    pub fn has(&self, digest: &Digest) -> bool {
        self.blobs.path(digest).exists() || self.index().get(Kind::SmallBlob, &digest.0).is_some()
    }

    /// Stores the outputs of an action as a tree and remembers it under the action's key.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn record(&self, key: &Digest, outputs: &[(String, Bytes)]) -> Result<Digest, StoreError> {
        let tree = self.put_tree(outputs)?;
        self.index().put(Kind::Action, &key.0, ActionResult { tree }.to_bytes());
        self.index().keep()?;
        Ok(tree)
    }

    /// Stores named blobs as a tree.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn put_tree(&self, outputs: &[(String, Bytes)]) -> Result<Digest, StoreError> {
        let mut entries = Vec::with_capacity(outputs.len());
        for (name, bytes) in outputs {
            let digest = self.put(bytes)?;
            self.index().renew(Kind::SmallBlob, &digest.0);
            entries.push(Output { name: name.clone(), digest, size: bytes.len() as u64 });
        }
        let tree = self.put(&tree_bytes(&entries))?;
        self.index().renew(Kind::SmallBlob, &tree.0);
        Ok(tree)
    }

    /// The entries of a tree.
    pub fn tree(&self, tree: &Digest) -> Option<Vec<Output>> {
        tree_entries(&self.get(tree)?)
    }

    /// The tree that an action made, if it is known and complete here.
    pub fn action(&self, key: &Digest) -> Option<Digest> {
        let result = {
            let mut index = self.index();
            if index.get(Kind::Action, &key.0).is_none() {
                index.look();
            }
            index.get(Kind::Action, &key.0).and_then(ActionResult::from_bytes)?
        };
        let small = |o: &Output| o.size < SMALL as u64 && self.index().get(Kind::SmallBlob, &o.digest.0).is_some();
        let complete = self.tree(&result.tree)?.iter().all(|o| small(o) || self.blobs.is_whole(&o.digest, o.size));
        complete.then_some(result.tree)
    }

    /// Forgets an action, so that it runs again.
    pub fn forget(&self, key: &Digest) {
        self.index().remove(Kind::Action, &key.0);
    }

    /// A small named record.
    pub fn note(&self, name: &str) -> Option<Vec<u8>> {
        self.index().get(Kind::Note, name.as_bytes()).map(<[u8]>::to_vec)
    }

    /// Replaces a small named record.
    pub fn set_note(&self, name: &str, value: Vec<u8>) {
        self.index().put(Kind::Note, name.as_bytes(), value);
    }

    /// Digest of a file's bytes; read only when its stamp is not known or too young to trust.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn digest_file(&self, path: &Path) -> std::io::Result<Digest> {
        let key = path.as_os_str().as_encoded_bytes().to_vec();
        let stamp = FileStamp::of(&std::fs::metadata(path)?);
        let known = self.index().get(Kind::Stamp, &key).and_then(|v| postcard::from_bytes::<Stamped>(v).ok());
        if let Some(known) = known.filter(|k| k.stamp == stamp) {
            return Ok(known.digest);
        }
        for _ in 0..MAX_READS {
            let before = FileStamp::of(&std::fs::metadata(path)?);
            let digest = Digest::of(&std::fs::read(path)?);
            if FileStamp::of(&std::fs::metadata(path)?) != before {
                continue;
            }
            if before.is_settled(SystemTime::now())
                && let Ok(value) = postcard::to_stdvec(&Stamped { stamp: before, digest })
            {
                self.index().put(Kind::Stamp, &key, value);
            }
            return Ok(digest);
        }
        Err(std::io::Error::other("the file keeps changing while it is read"))
    }

    /// Writes what is pending to the index.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.index().flush()
    }

    /// Path for a file that is written here and then renamed to where it belongs.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn temporary(&self, name: &str) -> Result<PathBuf, StoreError> {
        let dir = self.root.join("tmp");
        std::fs::create_dir_all(&dir).map_err(StoreError::io(&dir))?;
        Ok(dir.join(name))
    }

    /// Counts and sizes.
    pub fn stats(&self) -> Stats {
        let mut index = self.index();
        let ((small, small_bytes), (large, large_bytes)) = (index.tally(Kind::SmallBlob), self.blobs.tally());
        Stats {
            actions: index.tally(Kind::Action).0,
            blobs: small + large,
            bytes: small_bytes + large_bytes,
            corrupt: self.corrupt(),
        }
    }

    /// Removes everything that the store itself made in a folder.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clear(root: &Path) -> Result<(), StoreError> {
        for name in ["cas", "tmp"] {
            let dir = root.join(name);
            if dir.exists() {
                std::fs::remove_dir_all(&dir).map_err(StoreError::io(&dir))?;
            }
        }
        let files = std::fs::read_dir(root).into_iter().flatten().flatten();
        for file in files.filter(|f| f.file_name().to_str().is_some_and(is_ours)) {
            std::fs::remove_file(file.path()).map_err(StoreError::io(&file.path()))?;
        }
        Ok(())
    }
}

/// Whether a file of the folder is one that a store or its user, the engine, makes: of this version or an earlier one.
fn is_ours(name: &str) -> bool {
    [INDEX, JOURNAL, PIECES]
        .iter()
        .map(|known| known.rsplit_once("-v").map_or(*known, |(stem, _)| stem))
        .chain(["built"])
        .any(|stem| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with("-v")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_damaged_index_is_put_aside_and_clearing_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let key = Digest::of(b"key");
        // Records a result and lets the database take the journal over.
        let record = |store: Store| {
            store.record(&key, &outputs()).unwrap();
            store.index().prune(|_| Vec::new()).unwrap();
        };
        record(Store::open(dir.path()).unwrap());
        let index = dir.path().join(INDEX);
        let whole = std::fs::read(&index).unwrap();
        for bytes in [&whole[..1000], &[7; 5000], &whole[..whole.len() / 2]] {
            std::fs::write(&index, bytes).unwrap();
            let store = Store::open(dir.path()).unwrap();
            assert_eq!(store.action(&key), None);
            record(store);
            assert!(Store::open(dir.path()).unwrap().action(&key).is_some());
        }
        std::fs::write(dir.path().join("built-v7"), b"").unwrap();
        std::fs::write(dir.path().join("mine"), b"").unwrap();
        Store::clear(dir.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|f| f.file_name()).collect();
        assert_eq!(left, ["mine"]);
    }

    #[test]
    fn what_is_recorded_survives_a_sudden_end_and_others_see_it() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
        let keys: Vec<Digest> = (0..20u8).map(|i| Digest::of(&[i])).collect();
        let trees: Vec<Digest> =
            keys.iter().map(|k| a.record(k, &[("o".into(), k.0.to_vec().into())]).unwrap()).collect();
        // Never flushed, as if killed.
        std::mem::forget(a);
        std::thread::sleep(std::time::Duration::from_millis(150));
        let c = Store::open(dir.path()).unwrap();
        for (key, tree) in keys.iter().zip(&trees) {
            assert_eq!((c.action(key), b.action(key)), (Some(*tree), Some(*tree)));
            assert!(c.tree(tree).is_some_and(|t| c.get(&t[0].digest).is_some()));
        }
        b.record(&Digest::of(b"more"), &[]).unwrap();
        b.index().prune(|_| Vec::new()).unwrap();
        drop((b, c));
        let d = Store::open(dir.path()).unwrap();
        assert!(keys.iter().all(|k| d.action(k).is_some()), "who writes the index takes the journal over");
        assert_eq!(std::fs::metadata(dir.path().join(JOURNAL)).unwrap().len(), 0);
    }

    fn outputs() -> Vec<(String, Bytes)> {
        vec![("small".into(), Bytes::from_static(b"abc")), ("large".into(), Bytes::from(vec![7u8; 10_000]))]
    }

    #[test]
    fn results_survive_reopening_and_a_second_store_sees_them() {
        let dir = tempfile::tempdir().unwrap();
        let key = Digest::of(b"key");
        let a = Store::open(dir.path()).unwrap();
        let tree = a.record(&key, &outputs()).unwrap();
        a.flush().unwrap();
        let b = Store::open(dir.path()).unwrap();
        assert_eq!(b.action(&key), Some(tree));
        let entries = b.tree(&tree).unwrap();
        assert_eq!(entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["large", "small"]);
        assert_eq!(b.get(&entries[0].digest).unwrap(), outputs()[1].1);
        b.record(&Digest::of(b"other"), &[]).unwrap();
        a.record(&Digest::of(b"third"), &[]).unwrap();
        drop((a, b));
        assert_eq!(Store::open(dir.path()).unwrap().stats().actions, 3);
    }

    #[test]
    fn a_corrupt_blob_is_a_miss_and_makes_its_action_incomplete() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = Digest::of(b"key");
        let tree = store.record(&key, &outputs()).unwrap();
        let large = store.tree(&tree).unwrap()[0].digest;
        let path = store.blobs.path(&large);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, vec![8u8; 10_000]).unwrap();
        assert_eq!(store.get(&large), None);
        assert_eq!(store.stats().corrupt, 1);
        assert_eq!(store.action(&key), None);
    }

    #[test]
    fn an_edit_within_the_clock_tick_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let file = dir.path().join("f");
        for text in ["one", "two", "six"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(store.digest_file(&file).unwrap(), Digest::of(text.as_bytes()));
        }
    }
}

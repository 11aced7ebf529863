//! Where a blob that arrives in pieces goes: hashed both ways as it comes, refused as soon as it is too long.

use super::digest::{BothHashes, RemoteDigest};
use super::error::{ErrorKind, RemoteError};
use crate::{Digest, Store, StoreError};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes a blob piece by piece.
pub trait BlobSink: Send {
    /// The blob that it waits for.
    fn expected(&self) -> RemoteDigest;

    /// Bytes so far.
    fn received(&self) -> u64;

    /// Takes the next piece.
    ///
    /// # Errors
    /// When there are more bytes than expected, or they cannot be written.
    fn take(&mut self, piece: &[u8]) -> Result<(), RemoteError>;
}

/// A blob on its way into the store, in a file beside it until it is complete and verified.
pub struct Incoming<'a> {
    store: &'a Store,
    expected: RemoteDigest,
    hashes: BothHashes,
    path: PathBuf,
    file: Option<File>,
}

impl<'a> Incoming<'a> {
    /// A blob that is about to arrive.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn new(store: &'a Store, expected: RemoteDigest) -> Result<Incoming<'a>, RemoteError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let name = format!("in-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = store.temporary(&name)?;
        let file = File::create(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        Ok(Incoming { store, expected, hashes: BothHashes::default(), path, file: Some(file) })
    }

    /// Verifies the blob and puts it into the store under its own digest.
    ///
    /// # Errors
    /// When its bytes are not what was expected.
    pub fn finish(mut self) -> Result<Digest, RemoteError> {
        let (local, remote) = std::mem::take(&mut self.hashes).finish();
        if remote != self.expected {
            let what = format!("blob {} holds other bytes than its name says", self.expected.short());
            return Err(RemoteError::new(ErrorKind::Corrupt, what));
        }
        self.file = None;
        self.store.adopt(&self.path, &local)?;
        Ok(local)
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        self.file = None;
        // Gone already where it was adopted.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl BlobSink for Incoming<'_> {
    fn expected(&self) -> RemoteDigest {
        self.expected
    }

    fn received(&self) -> u64 {
        self.hashes.size()
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), RemoteError> {
        if self.hashes.size() + piece.len() as u64 > self.expected.size {
            let what = format!("blob {} is longer than its name says", self.expected.short());
            return Err(RemoteError::new(ErrorKind::Corrupt, what));
        }
        self.hashes.update(piece);
        let path = &self.path;
        let write = self.file.as_mut().map_or(Ok(()), |f| f.write_all(piece));
        write.map_err(|source| StoreError::Io { path: path.clone(), source }.into())
    }
}

/// A small blob on its way into memory.
pub(crate) struct Memory {
    expected: RemoteDigest,
    bytes: Vec<u8>,
}

impl Memory {
    pub(crate) fn new(expected: RemoteDigest) -> Memory {
        Memory { expected, bytes: Vec::new() }
    }

    pub(crate) fn into_bytes(self) -> bytes::Bytes {
        self.bytes.into()
    }
}

impl BlobSink for Memory {
    fn expected(&self) -> RemoteDigest {
        self.expected
    }

    fn received(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), RemoteError> {
        if (self.bytes.len() + piece.len()) as u64 > self.expected.size {
            let what = format!("blob {} is longer than its name says", self.expected.short());
            return Err(RemoteError::new(ErrorKind::Corrupt, what));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

//! What a store gains for remotes: SHA-256 digests beside its own, and results whose blobs are here already.

use super::digest::RemoteDigest;
use crate::action_result::{ActionResult, Output, tree_bytes};
use crate::index::Kind;
use crate::{Digest, Store, StoreError};
use std::collections::BTreeSet;
use std::path::PathBuf;

impl Store {
    /// The servers' digest of a blob that is here, computed once.
    pub fn remote_digest(&self, digest: &Digest) -> Option<RemoteDigest> {
        self.known_remote_digest(digest).or_else(|| {
            let remote = RemoteDigest::of(&self.get(digest)?);
            self.note_remote_digest(digest, remote);
            Some(remote)
        })
    }

    /// The servers' digest of a blob, here or not, where it was noted.
    pub fn known_remote_digest(&self, digest: &Digest) -> Option<RemoteDigest> {
        let mut index = self.index();
        let (sha256, size) = index.get(Kind::Remote, &digest.0)?.split_at_checked(32)?;
        Some(RemoteDigest { sha256: sha256.try_into().ok()?, size: u64::from_le_bytes(size.try_into().ok()?) })
    }

    /// Notes the servers' digest of a blob whose bytes the caller has seen.
    pub fn note_remote_digest(&self, digest: &Digest, remote: RemoteDigest) {
        let value = [remote.sha256.as_slice(), &remote.size.to_le_bytes()].concat();
        self.index().put(Kind::Remote, &digest.0, value);
    }

    /// Remembers a result whose blobs are all here.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_known(&self, key: &Digest, outputs: &[Output]) -> Result<Digest, StoreError> {
        let tree = self.put(&tree_bytes(outputs))?;
        {
            let mut index = self.index();
            for digest in outputs.iter().map(|o| &o.digest).chain([&tree]) {
                index.renew(Kind::SmallBlob, &digest.0);
            }
            index.put(Kind::Action, &key.0, ActionResult { tree }.to_bytes());
        }
        self.index().keep()?;
        Ok(tree)
    }

    /// Forgets the servers' digests of all blobs but these; others are computed again when they are needed.
    pub(crate) fn forget_remote_digests(&self, kept: &BTreeSet<Digest>) {
        let mut index = self.index();
        for digest in index.digests(Kind::Remote).into_iter().filter(|d| !kept.contains(d)) {
            index.remove(Kind::Remote, &digest.0);
        }
    }

    /// The file that holds the bytes of a large blob, not verified; `None` for one that shares pieces with others.
    pub fn blob_file(&self, digest: &Digest) -> Option<PathBuf> {
        self.blobs.whole(digest)
    }
}

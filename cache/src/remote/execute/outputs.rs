//! What an execution made: the files of its output folder, and taking them into the store.

use super::{Shared, Stop};
use crate::Digest;
use crate::remote::digest::RemoteDigest;
use crate::remote::error::{ErrorKind, RemoteError};
use crate::remote::grpc::stream::receive;
use crate::remote::proto::{ActionResult, FileNode, Tree};
use crate::remote::result::{MAX_BLOB, MAX_RESULT};
use crate::remote::sink::{BlobSink as _, Incoming};
use bytes::Bytes;
use prost::Message as _;
use std::collections::{BTreeMap, HashMap};

/// Largest description of an output folder.
const MAX_TREE: u64 = 64 << 20;
/// Most files of an output folder.
const MAX_FILES: usize = 1_000_000;

fn poisoned(what: impl Into<String>) -> RemoteError {
    RemoteError::new(ErrorKind::Poisoned, what)
}

impl Shared {
    /// One blob that is to be read now, verified.
    pub(crate) async fn small(&self, digest: RemoteDigest) -> Result<Bytes, RemoteError> {
        let offer = self.offer().await?;
        let bytes = if digest.size + 200 <= offer.batch {
            let mut answers = self.client.read_batch(&[digest], offer.zstd_batches).await?;
            answers.pop().map_or_else(|| Err(poisoned("an answer without blobs")), |(_, bytes)| bytes)?
        } else {
            let mut sink = crate::remote::sink::Memory::new(digest);
            receive(&self.client, offer.zstd, &mut sink, &self.life).await?;
            sink.into_bytes()
        };
        verified(digest, bytes)
    }

    /// Files of the output folder, by name.
    pub(crate) async fn outputs(
        &self,
        result: &ActionResult,
        output: &str,
    ) -> Result<BTreeMap<String, RemoteDigest>, RemoteError> {
        let mut files = BTreeMap::new();
        for folder in result.output_directories.iter().filter(|d| d.path == output) {
            let digest = folder.tree_digest.as_ref().and_then(RemoteDigest::from_proto);
            let digest =
                digest.filter(|d| d.size <= MAX_TREE).ok_or_else(|| poisoned("an output folder without a tree"))?;
            let tree = Tree::decode(self.small(digest).await?);
            let tree = tree.map_err(|e| poisoned(format!("an output folder that is none: {e}")))?;
            for FileNode { name, digest, .. } in tree.root.unwrap_or_default().files {
                add(&mut files, name, digest.as_ref())?;
            }
        }
        // Some servers list the files of folders one by one.
        for file in &result.output_files {
            if let Some(name) = file.path.strip_prefix(output).and_then(|rest| rest.strip_prefix('/')) {
                add(&mut files, name.to_owned(), file.digest.as_ref())?;
            }
        }
        if files.values().map(|d: &RemoteDigest| d.size).fold(0, u64::saturating_add) > MAX_RESULT {
            return Err(poisoned("a result that is too large"));
        }
        Ok(files)
    }

    /// Takes blobs into the store.
    pub(crate) async fn fetch(&self, blobs: &[RemoteDigest], stop: &Stop) -> Result<Vec<Digest>, RemoteError> {
        let offer = self.again(stop, async |_| self.offer().await).await?;
        let mut here: HashMap<RemoteDigest, Digest> = HashMap::new();
        let (mut batch, mut weight) = (Vec::new(), 0);
        for digest in blobs.iter().collect::<std::collections::BTreeSet<_>>() {
            if digest.size + 200 > offer.batch {
                here.insert(*digest, self.fetch_large(*digest, offer.zstd, stop).await?);
                continue;
            }
            if weight + digest.size + 200 > offer.batch {
                self.fetch_batch(&std::mem::take(&mut batch), offer.zstd_batches, stop, &mut here).await?;
                weight = 0;
            }
            weight += digest.size + 200;
            batch.push(*digest);
        }
        if !batch.is_empty() {
            self.fetch_batch(&batch, offer.zstd_batches, stop, &mut here).await?;
        }
        blobs.iter().map(|d| here.get(d).copied().ok_or_else(|| poisoned("a blob is lost"))).collect()
    }

    async fn fetch_batch(
        &self,
        batch: &[RemoteDigest],
        zstd: bool,
        stop: &Stop,
        here: &mut HashMap<RemoteDigest, Digest>,
    ) -> Result<(), RemoteError> {
        let read = async |_| {
            let blobs = self.client.read_batch(batch, zstd).await?;
            let busy = blobs.iter().find_map(|(_, b)| b.as_ref().err().filter(|e| e.is_transient()).cloned());
            busy.map_or(Ok(blobs), Err)
        };
        for (digest, bytes) in self.again(stop, read).await? {
            here.insert(digest, self.store.put(&verified(digest, bytes?)?)?);
        }
        Ok(())
    }

    async fn fetch_large(&self, digest: RemoteDigest, zstd: bool, stop: &Stop) -> Result<Digest, RemoteError> {
        let mut sink = Incoming::new(&self.store, digest)?;
        let mut tries = 0;
        loop {
            // What is here of it stays; the rest is asked for.
            match receive(&self.client, zstd, &mut sink, &self.life).await {
                Ok(()) => return sink.finish(),
                Err(e) if e.is_transient() && tries < super::TRIES && !stop() => {
                    tries += 1;
                    if zstd && sink.received() > 0 {
                        sink = Incoming::new(&self.store, digest)?;
                    }
                    tokio::time::sleep(crate::remote::retry::jitter(super::PAUSE * tries)).await;
                }
                Err(e) => return Err(e),
            }
        }
    }
}

fn verified(digest: RemoteDigest, bytes: Bytes) -> Result<Bytes, RemoteError> {
    if RemoteDigest::of(&bytes) == digest {
        Ok(bytes)
    } else {
        let what = format!("blob {} holds other bytes than its name says", digest.short());
        Err(RemoteError::new(ErrorKind::Corrupt, what))
    }
}

fn add(
    files: &mut BTreeMap<String, RemoteDigest>,
    name: String,
    digest: Option<&crate::remote::proto::Digest>,
) -> Result<(), RemoteError> {
    let shown: String = name.chars().take(80).collect();
    let plain = !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..";
    let digest = digest.and_then(RemoteDigest::from_proto).filter(|d| plain && d.size <= MAX_BLOB);
    let digest = digest.ok_or_else(|| poisoned(format!("an output file {shown:?} that cannot be one")))?;
    if files.len() >= MAX_FILES {
        return Err(poisoned("too many output files"));
    }
    files.insert(name, digest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_and_wrong_digests_are_refused() {
        let (mut files, good) = (BTreeMap::new(), RemoteDigest::of(b"x").to_proto());
        add(&mut files, "answer.json".into(), Some(&good)).expect("fine");
        for name in ["", "..", "a/b", "a\\b", "."] {
            assert!(add(&mut files, name.into(), Some(&good)).is_err(), "{name}");
        }
        let huge = crate::remote::proto::Digest { size_bytes: i64::MAX, ..good };
        assert!(add(&mut files, "a".into(), Some(&huge)).is_err() && add(&mut files, "a".into(), None).is_err());
        assert_eq!(files.len(), 1);
        assert!(verified(RemoteDigest::of(b"x"), Bytes::from_static(b"y")).is_err());
    }
}

//! Bringing inputs: every blob is asked about once a build and sent once, however many actions share it.

use super::{MAX_SAID, Shared, Stop};
use crate::remote::digest::RemoteDigest;
use crate::remote::error::{ErrorKind, RemoteError};
use crate::remote::grpc::stream::Upload;
use crate::remote::retry;
use crate::remote::source::BlobSource;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Longest wait for somebody else's upload before looking again whether it failed.
const LOOK: Duration = Duration::from_millis(500);

/// What is known of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Somebody is bringing it.
    OnTheWay,
    /// The server has it.
    There,
}

/// The blobs that the server has, as far as this build knows.
#[derive(Default)]
pub(crate) struct Brought {
    states: Mutex<HashMap<RemoteDigest, State>>,
    changed: Notify,
}

impl Brought {
    fn states(&self) -> MutexGuard<'_, HashMap<RemoteDigest, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that nobody has brought or is bringing; from now on the caller is.
    fn claim(&self, blobs: &BTreeMap<RemoteDigest, &BlobSource>) -> Vec<RemoteDigest> {
        let mut states = self.states();
        let mine: Vec<RemoteDigest> = blobs.keys().filter(|d| !states.contains_key(*d)).copied().collect();
        states.extend(mine.iter().map(|d| (*d, State::OnTheWay)));
        mine
    }

    fn set(&self, digests: &[RemoteDigest], state: Option<State>) {
        let mut states = self.states();
        for digest in digests {
            match state {
                Some(state) => drop(states.insert(*digest, state)),
                None => drop(states.remove(digest)),
            }
        }
        drop(states);
        self.changed.notify_waiters();
    }

    /// Forgets that the server has these: it does not.
    pub(crate) fn forget(&self, digests: impl Iterator<Item = RemoteDigest>) {
        let mut states = self.states();
        for digest in digests {
            if states.get(&digest) == Some(&State::There) {
                states.remove(&digest);
            }
        }
    }

    fn all_there<'a>(&self, mut digests: impl Iterator<Item = &'a RemoteDigest>) -> bool {
        let states = self.states();
        digests.all(|d| states.get(d) == Some(&State::There))
    }
}

/// Gives claims back where their owner ends early.
struct Claim<'a> {
    brought: &'a Brought,
    digests: Vec<RemoteDigest>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.digests.is_empty() {
            self.brought.set(&self.digests, None);
        }
    }
}

impl Shared {
    /// Sees to it that the server has all these blobs.
    pub(crate) async fn bring(&self, blobs: &[(RemoteDigest, BlobSource)], stop: &Stop) -> Result<(), RemoteError> {
        let blobs: BTreeMap<RemoteDigest, &BlobSource> = blobs.iter().map(|(d, s)| (*d, s)).collect();
        loop {
            let mut claim = Claim { brought: &self.brought, digests: self.brought.claim(&blobs) };
            if !claim.digests.is_empty() {
                self.send(&claim.digests, &blobs, stop).await?;
                let mine = std::mem::take(&mut claim.digests);
                self.brought.set(&mine, Some(State::There));
            }
            if self.brought.all_there(blobs.keys()) {
                return Ok(());
            }
            if stop() {
                return Err(RemoteError::new(ErrorKind::Local, "cancelled"));
            }
            // Others bring the rest; if one of them gives up, the blob is claimed in the next round.
            let _ = tokio::time::timeout(LOOK, self.brought.changed.notified()).await;
        }
    }

    async fn send(
        &self,
        mine: &[RemoteDigest],
        sources: &BTreeMap<RemoteDigest, &BlobSource>,
        stop: &Stop,
    ) -> Result<(), RemoteError> {
        let offer = self.again(stop, async |_| self.offer().await).await?;
        self.counters.checked.fetch_add(mine.len() as u64, Ordering::Relaxed);
        let missing = self.again(stop, async |_| self.client.find_missing(mine).await).await?;
        let (mut batch, mut weight) = (Vec::new(), 0u64);
        for digest in missing {
            let Some(source) = sources.get(&digest) else { continue };
            if digest.size > offer.largest {
                let what = format!("the server takes blobs of at most {} bytes, {digest:?} is larger", offer.largest);
                return Err(RemoteError::new(ErrorKind::Setting, what));
            }
            self.counters.sent.fetch_add(1, Ordering::Relaxed);
            // A message also carries digests: 200 bytes each are more than enough.
            if digest.size + 200 > offer.batch {
                self.send_large(digest, source, offer.zstd, stop).await?;
                continue;
            }
            if weight + digest.size + 200 > offer.batch {
                self.send_batch(&std::mem::take(&mut batch), offer.zstd_batches, stop).await?;
                weight = 0;
            }
            weight += digest.size + 200;
            batch.push((digest, source.read(&self.store)?));
        }
        if batch.is_empty() { Ok(()) } else { self.send_batch(&batch, offer.zstd_batches, stop).await }
    }

    async fn send_batch(&self, batch: &[(RemoteDigest, Bytes)], zstd: bool, stop: &Stop) -> Result<(), RemoteError> {
        self.again(stop, async |_| self.client.write_batch(batch, zstd).await).await
    }

    async fn send_large(
        &self,
        digest: RemoteDigest,
        source: &BlobSource,
        zstd: bool,
        stop: &Stop,
    ) -> Result<(), RemoteError> {
        let id = retry::random_wide();
        let read;
        let source = match source {
            BlobSource::Stored(_) => {
                read = BlobSource::Bytes(source.read(&self.store)?);
                &read
            }
            other => other,
        };
        self.again(stop, async |tries| {
            Upload { client: &self.client, digest, source, zstd, life: self.life.clone() }.send(id, tries > 0).await
        })
        .await
    }

    /// What a command said: bytes that came along, or a blob; nothing where it is too long or gone.
    pub(crate) async fn said(&self, raw: &[u8], digest: Option<&crate::remote::proto::Digest>) -> Bytes {
        if !raw.is_empty() {
            return Bytes::copy_from_slice(&raw[..raw.len().min(MAX_SAID as usize)]);
        }
        let Some(digest) = digest.and_then(RemoteDigest::from_proto).filter(|d| d.size > 0 && d.size <= MAX_SAID)
        else {
            return Bytes::new();
        };
        self.small(digest).await.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_claimed_once_until_it_is_forgotten_or_given_back() {
        let (brought, source) = (Brought::default(), BlobSource::Bytes(Bytes::new()));
        let digests = [RemoteDigest::of(b"1"), RemoteDigest::of(b"2")];
        let blobs: BTreeMap<RemoteDigest, &BlobSource> = digests.iter().map(|d| (*d, &source)).collect();
        let mut claim = Claim { brought: &brought, digests: brought.claim(&blobs) };
        assert_eq!(claim.digests.len(), 2);
        assert!(brought.claim(&blobs).is_empty() && !brought.all_there(digests.iter()));
        brought.set(&std::mem::take(&mut claim.digests), Some(State::There));
        assert!(brought.all_there(digests.iter()) && brought.claim(&blobs).is_empty());
        brought.forget(digests[..1].iter().copied());
        drop(Claim { brought: &brought, digests: brought.claim(&blobs) });
        assert_eq!(brought.claim(&blobs).len(), 1, "a claim that ended early is free again");
    }
}

//! Look-ups: a result and all its blobs, verified, into the store.
//!
//! Small blobs of many results travel together, each blob once; large ones go through files. What is in flight is
//! bounded, so memory is.

use super::core::Core;
use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::result::{Provenance, RemoteOutput, outputs, provenance};
use super::sink::Incoming;
use crate::{Digest, Output};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OnceCell, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

/// Blobs up to this size are held in memory.
pub(crate) const SMALL: u64 = 256 << 10;
/// Look-ups at a time.
const LOOKUPS: usize = 96;
/// Batches of small blobs at a time, each at most the server's limit.
const BATCHES: usize = 4;
/// Large blobs at a time.
const STREAMS: usize = 6;
/// Most blobs of one batch.
const MAX_GROUP: usize = 4000;

/// A result that was found.
pub(crate) struct Found {
    pub(crate) tree: Digest,
    pub(crate) made: Provenance,
}

struct Want {
    digest: RemoteDigest,
    reply: oneshot::Sender<Result<Bytes, RemoteError>>,
}

type Cell = Arc<OnceCell<Digest>>;

/// Fetches results.
pub(crate) struct Fetcher {
    core: Arc<Core>,
    lookups: Semaphore,
    streams: Semaphore,
    batches: mpsc::UnboundedSender<Want>,
    blobs: Mutex<HashMap<RemoteDigest, Cell>>,
}

impl Fetcher {
    /// A fetcher; must be made inside a runtime.
    pub(crate) fn new(core: Arc<Core>) -> Arc<Fetcher> {
        let (batches, wants) = mpsc::unbounded_channel();
        tokio::spawn(batch(core.clone(), wants));
        Arc::new(Fetcher {
            core,
            lookups: Semaphore::new(LOOKUPS),
            streams: Semaphore::new(STREAMS),
            batches,
            blobs: Mutex::default(),
        })
    }

    /// The result of an action, brought into the store under its key; `None` is a miss. `coming` is called when the
    /// server has answered that there is one, and says whether anybody still wants it.
    pub(crate) async fn result(
        self: &Arc<Self>,
        key: &Digest,
        action: &RemoteDigest,
        coming: impl FnOnce(&Provenance) -> bool,
    ) -> Result<Option<Found>, RemoteError> {
        let core = &self.core;
        let answer = {
            let _permit = self.lookups.acquire().await.map_err(closed)?;
            core.retry(|_| core.backend.result(action)).await?
        };
        let Some(result) = answer else { return Ok(None) };
        let mut all = outputs(&result)?;
        core.trust.check(action, &all, &result)?;
        let made = provenance(&result);
        if !coming(&made) {
            return Ok(None);
        }
        let mut coming = JoinSet::new();
        for output in all.clone() {
            let own = self.clone();
            coming.spawn(async move { own.output(&output).await.map(|local| (output.name, local)) });
        }
        let mut locals = HashMap::new();
        while let Some(one) = coming.join_next().await {
            let (name, local) = one.map_err(|e| RemoteError::new(ErrorKind::Local, e.to_string()))??;
            locals.insert(name, local);
        }
        let mut entries = Vec::with_capacity(all.len());
        for RemoteOutput { name, digest, .. } in all.drain(..) {
            let Some(local) = locals.remove(&name) else { continue };
            entries.push(Output { name, digest: local, size: digest.size });
        }
        Ok(Some(Found { tree: core.store.record_known(key, &entries)?, made }))
    }

    /// One output, verified against both its digests.
    async fn output(&self, output: &RemoteOutput) -> Result<Digest, RemoteError> {
        if let Some(local) = &output.local
            && self.core.store.remote_digest(local) == Some(output.digest)
        {
            return Ok(*local);
        }
        let local = self.blob(&output.digest).await?;
        if output.local.is_some_and(|claimed| claimed != local) {
            let what = format!("a result whose two digests of {:?} are of different bytes", output.name);
            return Err(RemoteError::new(ErrorKind::Poisoned, what));
        }
        Ok(local)
    }

    async fn blob(&self, digest: &RemoteDigest) -> Result<Digest, RemoteError> {
        let cell = self.blobs.lock().unwrap_or_else(PoisonError::into_inner).entry(*digest).or_default().clone();
        let fetched = cell.get_or_try_init(|| self.fetch(digest)).await.copied();
        if fetched.as_ref().is_err_and(|e| e.kind == ErrorKind::Corrupt) {
            self.core.note_bad(*digest);
        }
        fetched
    }

    async fn fetch(&self, digest: &RemoteDigest) -> Result<Digest, RemoteError> {
        let core = &self.core;
        let batch = if core.backend.grpc().is_some() { core.backend.offer().await?.batch } else { SMALL };
        if digest.size <= SMALL.min(batch) {
            let bytes = if digest.size == 0 { Bytes::new() } else { self.small(digest).await? };
            if RemoteDigest::of(&bytes) != *digest {
                let what = format!("blob {} holds other bytes than its name says", digest.short());
                return Err(RemoteError::new(ErrorKind::Corrupt, what));
            }
            let local = core.store.put(&bytes)?;
            core.store.note_remote_digest(&local, *digest);
            return Ok(local);
        }
        let _permit = self.streams.acquire().await.map_err(closed)?;
        let mut incoming = Incoming::new(&core.store, *digest)?;
        let mut tries = 0;
        loop {
            // A later try goes on where the broken one ended.
            let done = core.backend.read(&mut incoming).await;
            tries += 1;
            match done {
                Ok(()) => break,
                Err(error) => match super::retry::pause(&error, tries, &core.life) {
                    Some(pause) => {
                        core.counters.retries.add(1);
                        tokio::time::sleep(pause).await;
                    }
                    None => return Err(error),
                },
            }
        }
        let local = incoming.finish()?;
        core.store.note_remote_digest(&local, *digest);
        Ok(local)
    }

    async fn small(&self, digest: &RemoteDigest) -> Result<Bytes, RemoteError> {
        let (reply, answer) = oneshot::channel();
        let gone = || RemoteError::new(ErrorKind::Local, "the transfers have ended");
        self.batches.send(Want { digest: *digest, reply }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn closed(_: tokio::sync::AcquireError) -> RemoteError {
    RemoteError::new(ErrorKind::Local, "the transfers have ended")
}

/// Reads small blobs in groups: what comes while a group is on its way makes the next one.
async fn batch(core: Arc<Core>, mut wants: mpsc::UnboundedReceiver<Want>) {
    let permits = Arc::new(Semaphore::new(if core.backend.grpc().is_some() { BATCHES } else { 8 * BATCHES }));
    let mut kept: Option<Want> = None;
    loop {
        let Some(first) = (match kept.take() {
            Some(want) => Some(want),
            None => wants.recv().await,
        }) else {
            return;
        };
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let limit = if core.backend.grpc().is_some() {
            core.backend.offer().await.map_or(super::grpc::MAX_BATCH, |o| o.batch)
        } else {
            // One request a blob anyway: the more groups, the more at a time.
            1
        };
        let (mut bytes, mut group) = (first.digest.size, vec![first]);
        while bytes < limit
            && group.len() < MAX_GROUP
            && let Ok(want) = wants.try_recv()
        {
            if bytes + want.digest.size > limit {
                kept = Some(want);
                break;
            }
            bytes += want.digest.size;
            group.push(want);
        }
        let core = core.clone();
        tokio::spawn(async move {
            let _permit = permit;
            answer(&core, group).await;
        });
    }
}

async fn answer(core: &Core, group: Vec<Want>) {
    let unique: HashSet<RemoteDigest> = group.iter().map(|w| w.digest).collect();
    let mut digests: Vec<RemoteDigest> = unique.into_iter().collect();
    let mut found: HashMap<RemoteDigest, Result<Bytes, RemoteError>> = HashMap::new();
    let mut tries = 0;
    // Blobs that a busy server left out are asked for again; the others have arrived.
    let failure = loop {
        let read = core.backend.read_small(&digests).await;
        tries += 1;
        let error = match read {
            Ok(list) => {
                found.extend(list);
                digests.retain(|d| found.get(d).is_some_and(|r| r.as_ref().is_err_and(RemoteError::is_transient)));
                let left = digests.first().and_then(|d| found.get(d)).and_then(|r| r.as_ref().err());
                match left {
                    None => break None,
                    Some(error) => error.clone(),
                }
            }
            Err(error) => error,
        };
        match super::retry::pause(&error, tries, &core.life) {
            Some(pause) => {
                core.counters.retries.add(1);
                tokio::time::sleep(pause).await;
            }
            None => break Some(error),
        }
    };
    for want in group {
        let lost = || RemoteError::new(ErrorKind::Protocol, "no answer about a blob");
        let answer = found.get(&want.digest).cloned();
        let answer = answer.unwrap_or_else(|| Err(failure.clone().unwrap_or_else(lost)));
        let _ = want.reply.send(answer);
    }
}

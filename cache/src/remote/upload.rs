//! Uploads in the background: blobs first, the result last; what could not be stored is counted and said.

use super::action::CacheAction;
use super::core::Core;
use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::fetch::SMALL;
use super::result::{Provenance, RemoteOutput, to_message};
use super::retry::random_wide;
use super::source::BlobSource;
use crate::Digest;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Results that are stored together.
const GROUP: usize = 200;
/// Groups at a time.
const GROUPS: usize = 2;
/// Batches and large blobs of a group at a time.
const AT_ONCE: usize = 4;
/// Results of a group at a time.
const RESULTS: usize = 32;

/// A result to store.
pub(crate) struct Upload {
    pub(crate) action: CacheAction,
    pub(crate) tree: Digest,
    pub(crate) took: Option<Duration>,
}

/// How far uploads are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadProgress {
    /// Results that were to be stored.
    pub results: u64,
    /// Results that are dealt with, stored or not.
    pub done: u64,
    /// Bytes of blobs sent so far.
    pub sent_bytes: u64,
}

/// The queue and what became of it.
pub(crate) struct Uploads {
    core: Arc<Core>,
    queue: mpsc::UnboundedSender<Upload>,
    asked: AtomicU64,
    done: Arc<AtomicU64>,
    /// When the queue is of no more use: the rest is counted as not stored.
    stop: Arc<Mutex<bool>>,
}

impl Uploads {
    /// A queue; must be made inside a runtime.
    pub(crate) fn new(core: Arc<Core>) -> Uploads {
        let (queue, uploads) = mpsc::unbounded_channel();
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(false)));
        tokio::spawn(work(core.clone(), uploads, done.clone(), stop.clone()));
        Uploads { core, queue, asked: AtomicU64::new(0), done, stop }
    }

    pub(crate) fn add(&self, upload: Upload) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.queue.send(upload).is_err() {
            self.done.fetch_add(1, Ordering::Relaxed);
            self.core.counters.not_stored.add(1);
        }
    }

    pub(crate) fn progress(&self) -> UploadProgress {
        UploadProgress {
            results: self.asked.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            sent_bytes: self.core.life.sent(),
        }
    }

    /// Gives up what is still waiting; it is counted as not stored.
    pub(crate) fn give_up(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let progress = self.progress();
        let left = progress.results.saturating_sub(progress.done);
        if left > 0 {
            self.done.fetch_add(left, Ordering::Relaxed);
            self.core.counters.not_stored.add(left);
        }
    }
}

async fn work(
    core: Arc<Core>,
    mut uploads: mpsc::UnboundedReceiver<Upload>,
    done: Arc<AtomicU64>,
    stop: Arc<Mutex<bool>>,
) {
    let permits = Arc::new(Semaphore::new(GROUPS));
    while let Some(first) = uploads.recv().await {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(more) = uploads.try_recv()
        {
            group.push(more);
        }
        let (core, done, stop) = (core.clone(), done.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let count = group.len() as u64;
            let failed = if core.writes.allows() { store(&core, group).await } else { count };
            let stopped = *stop.lock().unwrap_or_else(PoisonError::into_inner);
            if !stopped {
                core.counters.not_stored.add(failed);
                done.fetch_add(count, Ordering::Relaxed);
            }
        });
    }
}

/// A result with its outputs, and whether all its blobs are there.
struct Prepared {
    upload: Upload,
    outputs: Vec<RemoteOutput>,
}

/// Stores a group of results; returns how many were not.
async fn store(core: &Arc<Core>, group: Vec<Upload>) -> u64 {
    let mut failed = 0;
    let mut prepared = Vec::new();
    let mut blobs: HashMap<RemoteDigest, BlobSource> = HashMap::new();
    for upload in group {
        match prepare(core, &upload, &mut blobs) {
            Ok(outputs) => prepared.push(Prepared { upload, outputs }),
            Err(error) => {
                core.warn(true, &error);
                failed += 1;
            }
        }
    }
    let lost = match send(core, blobs).await {
        Ok(lost) => lost,
        Err(error) => {
            note::<()>(core, &Err(error));
            return failed + prepared.len() as u64;
        }
    };
    let (permits, mut storing) = (Arc::new(Semaphore::new(RESULTS)), JoinSet::new());
    for one in prepared {
        let needs = one.outputs.iter().map(|o| o.digest).chain(one.upload.action.blobs().map(|(d, _)| d));
        if needs.into_iter().any(|d| lost.contains(&d)) {
            failed += 1;
            continue;
        }
        let (core, permits) = (core.clone(), permits.clone());
        storing.spawn(async move {
            let Ok(_permit) = permits.acquire().await else { return false };
            let stored = result(&core, &one).await;
            note(&core, &stored);
            stored.is_ok()
        });
    }
    while let Some(stored) = storing.join_next().await {
        let stored = stored.unwrap_or(false);
        failed += u64::from(!stored);
        core.counters.stored.add(u64::from(stored));
    }
    failed
}

/// Notes the end of something that the server was to store.
fn note<T>(core: &Core, done: &Result<T, RemoteError>) {
    core.writes.note(done);
    if let Err(error) = done {
        core.warn(true, error);
    }
}

/// The outputs of a result with their digests for the server, and where their bytes are.
fn prepare(
    core: &Core,
    upload: &Upload,
    blobs: &mut HashMap<RemoteDigest, BlobSource>,
) -> Result<Vec<RemoteOutput>, RemoteError> {
    let lost = || RemoteError::new(ErrorKind::Local, "a result is no longer in the store");
    let mut outputs = Vec::new();
    for entry in core.store.tree(&upload.tree).ok_or_else(lost)? {
        let digest = core.store.remote_digest(&entry.digest).ok_or_else(lost)?;
        // Bytes are read when they are sent; until then only where they are is kept.
        let file = core.store.blob_file(&entry.digest).filter(|_| digest.size > SMALL);
        blobs.entry(digest).or_insert_with(|| file.map_or(BlobSource::Stored(entry.digest), BlobSource::File));
        outputs.push(RemoteOutput { name: entry.name, digest, local: Some(entry.digest) });
    }
    for (digest, bytes) in upload.action.blobs() {
        blobs.entry(digest).or_insert(BlobSource::Bytes(bytes));
    }
    Ok(outputs)
}

/// Sends the blobs that the server lacks; returns those that it did not take.
///
/// # Errors
/// When it does not even say what it lacks.
async fn send(
    core: &Arc<Core>,
    blobs: HashMap<RemoteDigest, BlobSource>,
) -> Result<HashSet<RemoteDigest>, RemoteError> {
    let offer = core.retry(|_| core.backend.offer()).await?;
    let all: Vec<RemoteDigest> = blobs.keys().copied().collect();
    let mut missing = core.retry(|_| core.backend.missing(all.clone())).await?;
    missing.extend(all.iter().filter(|d| core.is_bad(d)));
    missing.sort_unstable();
    missing.dedup();
    let mut jobs: Vec<Vec<(RemoteDigest, BlobSource)>> = Vec::new();
    let (mut batch, mut bytes, small) = (Vec::new(), 0, SMALL.min(offer.batch));
    for digest in missing {
        let Some(source) = blobs.get(&digest).cloned() else { continue };
        if digest.size > small {
            jobs.push(vec![(digest, source)]);
            continue;
        }
        if bytes + digest.size > offer.batch {
            jobs.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += digest.size;
        batch.push((digest, source));
    }
    if !batch.is_empty() {
        jobs.push(batch);
    }
    let (permits, mut sending) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for job in jobs {
        let (core, permits) = (core.clone(), permits.clone());
        sending.spawn(async move {
            let digests: Vec<RemoteDigest> = job.iter().map(|(d, _)| *d).collect();
            let Ok(_permit) = permits.acquire().await else { return digests };
            let sent = if core.writes.allows() { transfer(&core, job, small).await } else { return digests };
            note(&core, &sent);
            if sent.is_ok() { Vec::new() } else { digests }
        });
    }
    let mut lost = HashSet::new();
    while let Some(done) = sending.join_next().await {
        lost.extend(done.unwrap_or_default());
    }
    Ok(lost)
}

/// Sends one large blob, or several small ones together.
async fn transfer(core: &Arc<Core>, mut job: Vec<(RemoteDigest, BlobSource)>, small: u64) -> Result<(), RemoteError> {
    if let Some((digest, source)) = job.pop_if(|(d, _)| d.size > small) {
        let source = match source {
            BlobSource::Stored(_) => BlobSource::Bytes(source.read(&core.store)?),
            other => other,
        };
        let id = random_wide();
        return core.retry(|tries| core.backend.write(&digest, &source, id, tries > 0)).await;
    }
    let blobs = job
        .into_iter()
        .map(|(digest, source)| Ok((digest, source.read(&core.store)?)))
        .collect::<Result<Vec<(RemoteDigest, Bytes)>, RemoteError>>()?;
    core.retry(|_| core.backend.write_small(&blobs)).await
}

async fn result(core: &Core, one: &Prepared) -> Result<(), RemoteError> {
    let made = Provenance { worker: core.worker.clone(), took: one.upload.took, at: Some(SystemTime::now()) };
    let mut message = to_message(&one.outputs, &made);
    let action = &one.upload.action.digest;
    if let Some(signer) = &core.signer {
        signer.sign(action, &one.outputs, &mut message);
    }
    core.retry(|_| core.backend.store_result(action, &message)).await
}

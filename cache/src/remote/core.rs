//! What the parts of a remote share: server, store, breakers, counters, warnings.

use super::backend::Backend;
use super::breaker::Breaker;
use super::counters::Counters;
use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::life::Life;
use super::retry;
use super::settings::RemoteSettings;
use super::sign::{Signer, Trust};
use crate::Store;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by look-ups and uploads.
pub(crate) struct Core {
    pub(crate) backend: Arc<Backend>,
    pub(crate) store: Arc<Store>,
    pub(crate) life: Arc<Life>,
    pub(crate) reads: Breaker,
    pub(crate) writes: Breaker,
    pub(crate) counters: Counters,
    pub(crate) trust: Trust,
    pub(crate) signer: Option<Signer>,
    /// The URL, as messages show it.
    pub(crate) shown: String,
    /// Who we are, in results that we store.
    pub(crate) worker: String,
    said: Mutex<Said>,
    /// Blobs that the server has under their name with other bytes: they are stored again.
    bad: Mutex<HashSet<RemoteDigest>>,
}

#[derive(Default)]
struct Said {
    kinds: BTreeSet<(bool, ErrorKind)>,
    waiting: Vec<String>,
}

impl Core {
    pub(crate) fn new(settings: &RemoteSettings, store: Arc<Store>) -> Result<Core, RemoteError> {
        let life = Arc::new(Life::default());
        Ok(Core {
            backend: Arc::new(Backend::new(settings, life.clone())?),
            store,
            life,
            reads: Breaker::default(),
            writes: Breaker::default(),
            counters: Counters::default(),
            trust: Trust { keys: settings.trusted.clone(), required: settings.require_signed },
            signer: settings.sign.as_ref().map(Signer::new).transpose()?,
            shown: settings.url.clone(),
            worker: format!("ptq {} on {}", env!("CARGO_PKG_VERSION"), host()),
            said: Mutex::default(),
            bad: Mutex::default(),
        })
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something once for each kind of failure and direction.
    pub(crate) fn warn(&self, writing: bool, error: &RemoteError) {
        // A server that is slow, then gone, is one story.
        let kind = if error.is_transient() { ErrorKind::Unreachable } else { error.kind };
        let mut said = self.said();
        if said.kinds.insert((writing, kind)) {
            let rest = match (writing, kind) {
                (false, ErrorKind::Unreachable) => "; going on without it",
                (false, ErrorKind::Denied) => "; going on without it (check the token)",
                (false, _) => "; counted as a miss",
                (true, ErrorKind::Denied) => "; results stay here (check the token, or set mode = \"read\")",
                (true, _) => "; results that were not stored there stay here: ptq cache push",
            };
            said.waiting.push(format!("remote cache {}: {error}{rest}", self.shown));
        }
    }

    /// Warnings since the last call.
    pub(crate) fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.said().waiting)
    }

    pub(crate) fn is_bad(&self, digest: &RemoteDigest) -> bool {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    pub(crate) fn note_bad(&self, digest: RemoteDigest) {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
    }

    /// Does something that may be tried again, as often as that can help.
    pub(crate) async fn retry<T, F, W>(&self, mut what: W) -> Result<T, RemoteError>
    where
        W: FnMut(u32) -> F,
        F: Future<Output = Result<T, RemoteError>>,
    {
        let mut tries = 0;
        loop {
            let answer = what(tries).await;
            tries += 1;
            match answer {
                Err(error) => match retry::pause(&error, tries, &self.life) {
                    Some(pause) => {
                        self.counters.retries.add(1);
                        tokio::time::sleep(pause).await;
                    }
                    None => return Err(error),
                },
                done => return done,
            }
        }
    }
}

/// The machine's name, for people.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
    if name.is_empty() { "a machine".into() } else { name }
}

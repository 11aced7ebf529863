//! What one build knows besides the store: results of this run, failures, what to run again.

use crate::build::Cancel;
use crate::events::RemoteRun;
use crate::watch::Watch;
use ptq_cache::{Digest, Store};
use ptq_rule::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the queries and the executor.
pub(crate) struct Session {
    pub(crate) store: Arc<Store>,
    /// Rules whose remembered results do not count.
    forced: BTreeSet<String>,
    /// Who may cancel this build.
    watch: Option<Arc<Watch>>,
    /// Whoever started the build may, too.
    cancel: Cancel,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: BTreeMap<Digest, Digest>,
    failed: BTreeMap<Digest, Failure>,
    /// Results that the team's cache gave, with who made them.
    fetched: BTreeMap<Digest, String>,
    remote: BTreeMap<Digest, RemoteRun>,
    /// Actions that were to run and turned out to be done.
    found: BTreeSet<Digest>,
}

impl Session {
    pub(crate) fn new(store: Arc<Store>, forced: BTreeSet<String>) -> Session {
        Session { store, forced, watch: None, cancel: Cancel::default(), state: Mutex::default() }
    }

    /// This session under a watch.
    pub(crate) fn watched(mut self, watch: Option<&Arc<Watch>>) -> Session {
        self.watch = watch.cloned();
        self
    }

    /// This session, ended when this says so.
    pub(crate) fn cancelled_by(mut self, cancel: &Cancel) -> Session {
        self.cancel = cancel.clone();
        self
    }

    /// Whether the build is of no use any more: an input has changed, or whoever started it wants it to end.
    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.is_set() || self.watch.as_ref().is_some_and(|w| w.cancelled())
    }

    /// [`Session::cancelled`] for those who wait elsewhere.
    #[cfg(feature = "remote")]
    pub(crate) fn stop(&self) -> Arc<ptq_cache::remote::Stop> {
        let (cancel, watch) = (self.cancel.clone(), self.watch.clone());
        Arc::new(move || cancel.is_set() || watch.as_ref().is_some_and(|w| w.cancelled()))
    }

    /// Whether remembered results of a rule do not count.
    #[cfg(feature = "remote")]
    pub(crate) fn is_forced(&self, rule: &str) -> bool {
        self.forced.contains(rule)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree that an action made, if it is known: in this run, or before unless its rule is forced.
    pub(crate) fn done(&self, rule: &str, key: &Digest) -> Option<Digest> {
        if let Some(tree) = self.state().done.get(key) {
            return Some(*tree);
        }
        if self.forced.contains(rule) {
            return None;
        }
        let tree = self.store.action(key)?;
        self.state().done.insert(*key, tree);
        Some(tree)
    }

    pub(crate) fn finish(&self, key: Digest, tree: Digest) {
        self.state().done.insert(key, tree);
    }

    /// Takes a result that the team's cache gave.
    pub(crate) fn fetch(&self, key: Digest, tree: Digest, worker: String) {
        let mut state = self.state();
        state.done.insert(key, tree);
        state.fetched.insert(key, worker);
    }

    /// Who made a result that the team's cache gave in this build.
    pub(crate) fn fetched(&self, key: &Digest) -> Option<String> {
        self.state().fetched.get(key).cloned()
    }

    /// Remembers where an action of this build ran.
    pub(crate) fn ran_remotely(&self, key: Digest, run: RemoteRun) {
        self.state().remote.insert(key, run);
    }

    /// Where an action of this build ran, when not here.
    pub(crate) fn remote_run(&self, key: &Digest) -> Option<RemoteRun> {
        self.state().remote.get(key).cloned()
    }

    /// Remembers that an action that was to run is done: another build beside this one has made it.
    pub(crate) fn find(&self, key: Digest) {
        self.state().found.insert(key);
    }

    /// Whether an action that was to run was done when its turn came.
    pub(crate) fn was_found(&self, key: &Digest) -> bool {
        self.state().found.contains(key)
    }

    pub(crate) fn fail(&self, key: Digest, failure: Failure) {
        self.state().failed.insert(key, failure);
    }

    pub(crate) fn failure(&self, key: &Digest) -> Option<Failure> {
        self.state().failed.get(key).cloned()
    }
}

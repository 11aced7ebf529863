//! What one build knows besides the store: results of this run, failures, what to run again.

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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: BTreeMap<Digest, Digest>,
    failed: BTreeMap<Digest, Failure>,
}

impl Session {
    pub(crate) fn new(store: Arc<Store>, forced: BTreeSet<String>) -> Session {
        Session { store, forced, watch: None, state: Mutex::default() }
    }

    /// This session under a watch.
    pub(crate) fn watched(mut self, watch: Option<&Arc<Watch>>) -> Session {
        self.watch = watch.cloned();
        self
    }

    /// Whether the build is of no use any more, because an input has changed.
    pub(crate) fn cancelled(&self) -> bool {
        self.watch.as_ref().is_some_and(|w| w.cancelled())
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

    pub(crate) fn fail(&self, key: Digest, failure: Failure) {
        self.state().failed.insert(key, failure);
    }

    pub(crate) fn failure(&self, key: &Digest) -> Option<Failure> {
        self.state().failed.get(key).cloned()
    }
}

//! The order in which the missing actions of a wave are dealt with: with a team's cache, all are asked for first; what is
//! decided goes on at once; what is not decided in good time begins here.

use crate::build::Missing;
use crate::executor::Executor;
use ptq_cache::Digest;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

struct State<'a> {
    unasked: std::slice::Iter<'a, Missing>,
    waiting: BTreeMap<Digest, &'a Missing>,
}

/// Missing actions; each is handed out once.
pub(crate) struct Queue<'a> {
    executor: &'a Executor<'a>,
    state: Mutex<State<'a>>,
}

impl<'a> Queue<'a> {
    pub(crate) fn new(executor: &'a Executor<'a>, missing: &'a [Missing]) -> Queue<'a> {
        Queue { executor, state: Mutex::new(State { unasked: missing.iter(), waiting: BTreeMap::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next action to deal with; `None` when all are handed out.
    pub(crate) fn next(&self) -> Option<&'a Missing> {
        loop {
            let unasked = self.state().unasked.next();
            if let Some(item) = unasked {
                let Some(tier) = self.executor.tier else { return Some(item) };
                let key = item.spec.key();
                // Before it is asked for: the answer may be there at once, and another thread may be told of it.
                self.state().waiting.insert(key, item);
                if tier.ask(self.executor, &item.spec) && !tier.is_decided(&key) {
                    continue;
                }
                if self.state().waiting.remove(&key).is_some() {
                    return Some(item);
                }
                continue;
            }
            let tier = self.executor.tier?;
            if self.executor.session.cancelled() {
                return self.state().waiting.pop_first().map(|(_, item)| item);
            }
            if self.state().waiting.is_empty() {
                return None;
            }
            let waiting = || match self.executor.session.cancelled() {
                true => Vec::new(),
                false => self.state().waiting.keys().copied().collect(),
            };
            let Some(key) = tier.decided().or_else(|| tier.wait(&waiting)) else { continue };
            // A key of somebody else, or one that another thread took meanwhile, is none of ours.
            if let Some(item) = self.state().waiting.remove(&key) {
                return Some(item);
            }
        }
    }
}

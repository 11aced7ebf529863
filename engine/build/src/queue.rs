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
                match self.executor.tier {
                    Some(tier) if tier.ask(self.executor, &item.spec) => {
                        self.state().waiting.insert(item.spec.key(), item);
                        continue;
                    }
                    _ => return Some(item),
                }
            }
            let tier = self.executor.tier?;
            if self.state().waiting.is_empty() {
                return None;
            }
            let key = match tier.decided() {
                Some(key) => key,
                None => match tier.wait(&|| self.state().waiting.keys().copied().collect()) {
                    Some(key) => key,
                    None => continue,
                },
            };
            // A key of somebody else, or one that another thread took meanwhile, is none of ours.
            if let Some(item) = self.state().waiting.remove(&key) {
                return Some(item);
            }
        }
    }
}

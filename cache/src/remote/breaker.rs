//! A circuit breaker: a server that fails again and again is left alone for a while.

use super::error::{ErrorKind, RemoteError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES: u32 = 3;
/// How long it stays open; then one request may try.
const REST: Duration = Duration::from_secs(30);

#[derive(Default)]
struct State {
    failures: u32,
    open_since: Option<Instant>,
    /// Denied: asking again helps nobody in this run.
    shut: bool,
}

/// One direction of one server.
#[derive(Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may be sent now.
    pub(crate) fn allows(&self) -> bool {
        let mut state = self.state();
        match state.open_since {
            _ if state.shut => false,
            None => true,
            Some(since) if since.elapsed() < REST => false,
            // One try: the next failure opens it again at once.
            Some(_) => {
                state.open_since = Some(Instant::now());
                true
            }
        }
    }

    /// Takes note of how a request ended; returns whether this opened it.
    pub(crate) fn note<T>(&self, answer: &Result<T, RemoteError>) -> bool {
        let mut state = self.state();
        match answer {
            Err(e) if e.kind == ErrorKind::Denied => !std::mem::replace(&mut state.shut, true),
            Err(e) if e.is_transient() => {
                state.failures += 1;
                let opens = state.failures >= FAILURES && state.open_since.is_none();
                if opens {
                    state.open_since = Some(Instant::now());
                }
                opens
            }
            _ => {
                state.failures = 0;
                state.open_since = None;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_open_it_once_and_a_denial_shuts_it() {
        let (breaker, fail) = (Breaker::default(), || Err::<(), _>(RemoteError::new(ErrorKind::Busy, "503")));
        assert!(!breaker.note(&fail()) && !breaker.note(&fail()) && !breaker.note(&Ok(())));
        assert!(breaker.allows());
        assert_eq!([(); 4].map(|()| breaker.note(&fail())), [false, false, true, false]);
        assert!(!breaker.allows());
        let breaker = Breaker::default();
        let denied = || Err::<(), _>(RemoteError::new(ErrorKind::Denied, "403"));
        assert!(breaker.note(&denied()) && !breaker.note(&denied()) && !breaker.allows());
    }
}

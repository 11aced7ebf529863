//! Second tries, with growing pauses of random length so that clients do not return all at once.

use super::error::RemoteError;
use super::life::Life;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// Most tries of one request.
const TRIES: u32 = 4;
/// Mean pause behind the first try; four times as long behind each later one.
const PAUSE: Duration = Duration::from_millis(60);

/// Whether to try again behind this failure, and after which pause. A server that never said anything is not asked
/// again by the same request.
pub(crate) fn pause(error: &RemoteError, tries: u32, life: &Life) -> Option<Duration> {
    let spoke = life.silence().is_some();
    (error.is_transient() && tries < TRIES && spoke).then(|| jitter(PAUSE * 4u32.pow(tries.saturating_sub(1))))
}

/// Between half and one and a half times a span, at random.
pub(crate) fn jitter(span: Duration) -> Duration {
    let random = random() % 1024;
    span / 2 + span.mul_f64(random as f64 / 1024.0)
}

/// A random number: every `RandomState` has new keys.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random number of twice the length, for names of uploads.
pub(crate) fn random_wide() -> u128 {
    (u128::from(random()) << 64) | u128::from(random())
}

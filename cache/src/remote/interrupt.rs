//! Ctrl-C and its like, for builds that have work on other machines to end.

use super::error::{ErrorKind, RemoteError};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit code of a program that was interrupted twice.
const INTERRUPTED: i32 = 130;

/// Calls a function with the first SIGINT or SIGTERM; the second one ends the program at once.
///
/// # Errors
/// When the system does not let us listen.
pub fn on_interrupt(first: impl FnOnce() + Send + 'static) -> Result<(), RemoteError> {
    let local = |e: std::io::Error| RemoteError::new(ErrorKind::Local, format!("signals: {e}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(local)?;
    let listen = move || {
        let mut arrived = signals.forever();
        if arrived.next().is_some() {
            first();
        }
        if arrived.next().is_some() {
            std::process::exit(INTERRUPTED);
        }
    };
    std::thread::Builder::new().name("ptq-signals".into()).spawn(listen).map(drop).map_err(local)
}

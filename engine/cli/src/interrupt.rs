//! Ctrl-C and the polite request to end: a build ends with its finished work kept and its commands ended. A second one ends at once.

use ptq_engine::{BuildOptions, Cancel};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit code of a program that a second interruption ended.
const AT_ONCE: i32 = 130;

/// What the first interruption sets.
pub(crate) fn listen() -> Cancel {
    let cancel = Cancel::default();
    let set = cancel.clone();
    // Without signals a build is simply ended by them, which it survives as well.
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        std::thread::spawn(move || {
            for _ in signals.forever() {
                if set.is_set() {
                    std::process::exit(AT_ONCE);
                }
                set.set();
            }
        });
    }
    cancel
}

/// Whether a build was interrupted.
pub(crate) fn came(options: &BuildOptions) -> bool {
    options.cancel.is_set()
}

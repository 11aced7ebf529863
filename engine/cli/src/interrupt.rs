//! Ctrl-C and the polite request to end: a build ends with its finished work kept and its commands ended. A second one ends at once.

use ptq_engine::BuildOptions;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a program that a second interruption ended.
const AT_ONCE: i32 = 130;

/// A flag that the first interruption sets.
pub(crate) fn listen() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    // Without signals a build is simply ended by them, which it survives as well.
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        std::thread::spawn(move || {
            for _ in signals.forever() {
                if set.swap(true, Ordering::Relaxed) {
                    std::process::exit(AT_ONCE);
                }
            }
        });
    }
    flag
}

/// Whether a build was interrupted.
pub(crate) fn came(options: &BuildOptions) -> bool {
    options.stop.as_ref().is_some_and(|s| s.load(Ordering::Relaxed))
}

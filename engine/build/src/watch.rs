//! Builds again whenever an input changes.
//!
//! Events of the file system are hints only: whether something changed is decided by stamps of the files and folders
//! that the last build looked at. So lost, doubled and early events cost time, never correctness. Used by `ptq build
//! --watch`.

mod deltas;
mod roots;
mod snapshot;

pub use deltas::{Change, Figures};

use crate::build::{BuildOptions, BuildReport};
use crate::error::EngineError;
use crate::events::EventSink;
use crate::project::Project;
use ptq_cache::Digest;
use roots::Roots;
use snapshot::Snapshot;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Quiet time after the last hint before files are looked at.
const QUIET: Duration = Duration::from_millis(100);
/// Longest wait for quiet while hints keep coming.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often an idle watch asks whether it is to end.
const LISTEN: Duration = Duration::from_millis(500);
/// How often files are looked at where events do not work.
const POLL: Duration = Duration::from_secs(2);

/// How to watch.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchOptions {
    /// Look at the files this often instead of asking the system for events.
    pub poll: Option<Duration>,
}

/// What a watcher tells after each build.
pub enum Watched<'a> {
    /// Waiting for a change of that many files and folders; the text says why events are not used, where they are not.
    Waiting(usize, Option<String>),
    /// A build ended, with what changed since the last one.
    Built(&'a BuildReport, &'a [Change], Duration),
    /// Nothing can be built: the manifest is wrong, or the store does not work.
    Broken(&'a EngineError),
}

/// Shared by the loop, the build that runs, and the thread that receives events.
#[derive(Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
    hinted: Condvar,
    cancel: AtomicBool,
}

#[derive(Default)]
struct State {
    /// First and last hint that nobody has looked into.
    hints: Option<(Instant, Instant)>,
    /// What the running or last build looked at.
    snapshot: Snapshot,
    /// Digest of what it read; none where it could not begin.
    read: Option<Digest>,
    roots: Option<Roots>,
    stopped: bool,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A build has looked at these files and folders, and read what has this digest: watch them.
    pub(crate) fn looked_at(&self, paths: &[PathBuf], read: Option<Digest>) {
        let snapshot = Snapshot::of(paths);
        let mut state = self.state();
        if let Some(roots) = &mut state.roots {
            roots.follow(paths);
        }
        state.snapshot = snapshot;
        state.read = read;
    }

    /// Whether a project would read just what the last build read; if so, it is looked at.
    fn is_as_read(&self, project: &Project) -> bool {
        let Ok((sources, read)) = project.sources() else { return false };
        let same = self.state().read == Some(read);
        if same {
            self.looked_at(&sources, Some(read));
        }
        same
    }

    /// Whether the running build is of no use any more.
    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn hint(&self) {
        let now = Instant::now();
        let mut state = self.state();
        let first = state.hints.map_or(now, |(first, _)| first);
        state.hints = Some((first, now));
        drop(state);
        self.hinted.notify_all();
    }

    /// Waits until hints have come and calmed down, at most this long; tells whether there were any.
    fn settle(&self, at_most: Option<Duration>, ended: &dyn Fn() -> bool) -> bool {
        let start = Instant::now();
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let wait = match state.hints {
                Some((first, last)) if now >= last + QUIET || now >= first + PATIENCE => {
                    state.hints = None;
                    return true;
                }
                Some((_, last)) => QUIET.saturating_sub(now - last),
                None if state.stopped || ended() || at_most.is_some_and(|most| start.elapsed() >= most) => {
                    return false;
                }
                None => at_most.map_or(POLL, |most| most.saturating_sub(start.elapsed())),
            };
            let wait = wait.clamp(Duration::from_millis(1), LISTEN);
            state = self.hinted.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Looks after a running build: an input that changes makes it useless.
    fn guard(&self, poll: Option<Duration>) {
        loop {
            let hinted = self.settle(poll, &|| false);
            let state = self.state();
            if state.stopped {
                return;
            }
            // Before the scan there is nothing to compare with: what changes then is read by the scan or seen after it.
            if (hinted || poll.is_some()) && state.snapshot.is_outdated() {
                self.cancel.store(true, Ordering::Relaxed);
            }
        }
    }

    fn stop_guard(&self) {
        self.state().stopped = true;
        self.hinted.notify_all();
    }
}

/// Builds, then builds again after every change, until `tell` answers false.
///
/// # Errors
/// When the project cannot be opened at first; later errors are told.
pub fn watch(
    mut project: Project,
    options: &BuildOptions,
    how: WatchOptions,
    events: &dyn EventSink,
    tell: &mut dyn FnMut(Watched<'_>) -> bool,
) -> Result<(), EngineError> {
    let shared = Arc::new(Watch::default());
    let mut poll = how.poll;
    let mut why_poll = None;
    let mut last: BTreeMap<String, Figures> = BTreeMap::new();
    let mut manifest_holds = true;
    let (mut first, mut is_due) = (true, true);
    loop {
        if poll.is_none() && shared.state().roots.is_none() {
            let (hinted, ignored) = (shared.clone(), project.own_folders());
            match Roots::new(ignored, move || hinted.hint()) {
                Ok(roots) => shared.state().roots = Some(roots),
                Err(why) => (poll, why_poll) = (Some(POLL), Some(why)),
            }
        }
        let stopped = || options.cancel.is_set();
        let mut ended_early = false;
        if manifest_holds && is_due {
            let start = Instant::now();
            let result = build(&project, &shared, options, poll, events);
            match result {
                Ok(report) => {
                    ended_early = report.cancelled;
                    if stopped() {
                        return Ok(());
                    }
                    let changes = deltas::changes(&mut last, &report);
                    let silent = !first && changes.is_empty() && report.work.is_empty();
                    first = false;
                    if !ended_early && !silent && !tell(Watched::Built(&report, &changes, start.elapsed())) {
                        return Ok(());
                    }
                }
                Err(error) => {
                    shared.looked_at(&project.manifest_files(), None);
                    if !tell(Watched::Broken(&error)) {
                        return Ok(());
                    }
                }
            }
        }
        let problem = shared.state().roots.as_ref().and_then(Roots::problem);
        if let Some(why) = problem {
            (poll, why_poll) = (Some(POLL), Some(why));
            shared.state().roots = None;
        }
        let woken = if ended_early { Woken::Changed } else { wait(&shared, poll, &why_poll, &stopped, tell) };
        if woken == Woken::Ended {
            return Ok(());
        }
        match project.reopen() {
            Ok(next) => {
                is_due = woken == Woken::Changed || !shared.is_as_read(&next);
                (project, manifest_holds) = (next, true);
            }
            // The same manifest is as wrong as before.
            Err(_) if woken == Woken::Perhaps && !manifest_holds => shared.looked_at(&project.manifest_files(), None),
            Err(error) => {
                manifest_holds = false;
                shared.looked_at(&project.manifest_files(), None);
                if !tell(Watched::Broken(&error)) {
                    return Ok(());
                }
            }
        }
    }
}

/// One build, with a thread beside it that cancels it when an input changes.
fn build(
    project: &Project,
    shared: &Arc<Watch>,
    options: &BuildOptions,
    poll: Option<Duration>,
    events: &dyn EventSink,
) -> Result<BuildReport, EngineError> {
    shared.cancel.store(false, Ordering::Relaxed);
    shared.state().stopped = false;
    std::thread::scope(|scope| {
        let guard = scope.spawn(|| shared.guard(poll));
        let result = project.build_watched(options, shared, events);
        shared.stop_guard();
        let _ = guard.join();
        shared.state().stopped = false;
        result
    })
}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq)]
enum Woken {
    /// An input has changed.
    Changed,
    /// One may have changed within the clock's grain.
    Perhaps,
    /// The watch is to end.
    Ended,
}

/// Waits until an input has changed, or may have.
fn wait(
    shared: &Watch,
    poll: Option<Duration>,
    why: &Option<String>,
    stopped: &dyn Fn() -> bool,
    tell: &mut dyn FnMut(Watched<'_>) -> bool,
) -> Woken {
    let mut told = false;
    loop {
        let (changed, recheck) = {
            let state = shared.state();
            (state.snapshot.is_outdated(), state.snapshot.recheck_in())
        };
        if changed {
            return Woken::Changed;
        }
        if recheck == Some(Duration::ZERO) {
            return Woken::Perhaps;
        }
        if !told {
            let count = shared.state().snapshot.len();
            if !tell(Watched::Waiting(count, why.clone())) {
                return Woken::Ended;
            }
            told = true;
        }
        let most = [poll, recheck].into_iter().flatten().min();
        let hinted = shared.settle(most, stopped);
        if stopped() {
            return Woken::Ended;
        }
        // An edit within the clock's grain of the last look need not show in a stamp.
        if hinted && recheck.is_some() {
            return Woken::Perhaps;
        }
    }
}

/// Whether a path lies in one of these folders.
fn within(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|f| path.starts_with(f))
}

//! A server as the engine sees it: ask for results, store results, say what happened. Never blocks but in [`Remote::wait`]
//! and [`Remote::finish`], both for a bounded time where the server is silent.

use super::action::CacheAction;
use super::core::Core;
use super::counters::RemoteStats;
use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::fetch::Fetcher;
use super::grpc::GrpcClient;
use super::result::Provenance;
use super::settings::{Mode, RemoteSettings};
use super::upload::{Upload, UploadProgress, Uploads};
use crate::{Digest, Store};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

/// Longest silence that work waits for, unless the settings say otherwise.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// Longest silence of a server that has spoken before, at the end of a build.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// Look-ups on their way to a server that does not answer, kept so that its return is noticed.
const WHILE_MUTE: usize = 8;
/// How often a wait looks at the clock.
const TICK: Duration = Duration::from_millis(10);

/// How a look-up stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// No answer yet.
    Asked {
        /// When it was asked.
        since: Instant,
    },
    /// The server has the result; its blobs are on their way.
    Coming {
        /// When the server said so.
        since: Instant,
        /// How long the rule ran where the result was made.
        took: Option<Duration>,
    },
    /// The result is in the store.
    Found {
        /// Its tree.
        tree: Digest,
        /// Who made it.
        worker: String,
    },
    /// The server does not have it, or it is of no use.
    Nothing,
}

impl Lookup {
    /// Whether it is decided.
    pub fn is_over(&self) -> bool {
        matches!(self, Lookup::Found { .. } | Lookup::Nothing)
    }
}

#[derive(Default)]
struct Board {
    lookups: HashMap<Digest, (Lookup, Option<AbortHandle>)>,
    /// Keys that were decided and not yet taken by [`Remote::decided`].
    decided: VecDeque<Digest>,
    /// Look-ups that nobody answered yet, given up or not.
    pending: usize,
    /// When the oldest of a row of pending look-ups was asked.
    asking_since: Option<Instant>,
    /// When a wait ended because the server was silent.
    mute_since: Option<Instant>,
}

struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the server has a result; returns whether anybody still wants it.
    fn coming(&self, key: &Digest, took: Option<Duration>) -> bool {
        let mut board = self.board();
        match board.lookups.get_mut(key) {
            Some((lookup @ Lookup::Asked { .. }, _)) => {
                *lookup = Lookup::Coming { since: Instant::now(), took };
                true
            }
            _ => false,
        }
    }

    fn decide(&self, key: Digest, outcome: Lookup) {
        let mut board = self.board();
        board.pending = board.pending.saturating_sub(1);
        if board.pending == 0 {
            board.asking_since = None;
        }
        if let Some(slot) = board.lookups.get_mut(&key)
            && !slot.0.is_over()
        {
            *slot = (outcome, None);
            board.decided.push_back(key);
        }
        drop(board);
        self.changed.notify_all();
    }
}

/// One server.
pub struct Remote {
    core: Arc<Core>,
    fetcher: Arc<Fetcher>,
    uploads: Uploads,
    mode: Mode,
    /// Longest silence that work waits for.
    patience: Duration,
    shared: Arc<Shared>,
    // Last: everything above is dropped while it still lives.
    runtime: Option<Runtime>,
}

impl Remote {
    /// A server for this store. Connects with the first question, in the background.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub fn open(settings: &RemoteSettings, store: Arc<Store>) -> Result<Remote, RemoteError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("ptq-remote")
            .enable_all()
            .build()
            .map_err(|e| RemoteError::new(ErrorKind::Local, format!("no threads for transfers: {e}")))?;
        let entered = runtime.enter();
        let core = Arc::new(Core::new(settings, store)?);
        let fetcher = Fetcher::new(core.clone());
        let uploads = Uploads::new(core.clone());
        // The connection is made while the first inputs are hashed.
        let hello = core.clone();
        tokio::spawn(async move { hello.backend.offer().await.map(drop) });
        drop(entered);
        let shared = Arc::new(Shared { board: Mutex::default(), changed: Condvar::new() });
        Ok(Remote {
            core,
            fetcher,
            uploads,
            mode: settings.mode,
            patience: settings.patience.answer,
            shared,
            runtime: Some(runtime),
        })
    }

    fn runtime(&self) -> Option<&Runtime> {
        self.runtime.as_ref()
    }

    /// The runtime and the client of a Remote Execution server, for whoever speaks to it further.
    pub fn execution(&self) -> Option<(&Runtime, &GrpcClient)> {
        Some((self.runtime()?, self.core.backend.grpc()?))
    }

    /// What we do with it.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Asks for the result of an action, in the background; `key` is its name in the store. Asking twice is asking once.
    /// Returns whether there is something to wait for, or there already.
    pub fn ask(&self, key: Digest, action: RemoteDigest) -> bool {
        let Some(runtime) = self.runtime() else { return false };
        let mut board = self.shared.board();
        if let Some((lookup, _)) = board.lookups.get(&key) {
            return *lookup != Lookup::Nothing;
        }
        let core = self.core.clone();
        if !core.reads.allows() || (self.mute(&mut board) && board.pending >= WHILE_MUTE) {
            core.counters.skipped.add(1);
            return false;
        }
        core.counters.lookups.add(1);
        let since = Instant::now();
        let (fetcher, shared) = (self.fetcher.clone(), self.shared.clone());
        board.lookups.insert(key, (Lookup::Asked { since }, None));
        board.pending += 1;
        board.asking_since.get_or_insert(since);
        let task = runtime.spawn(async move {
            let coming = |made: &Provenance| shared.coming(&key, made.took);
            let answer = fetcher.result(&key, &action, coming).await;
            let opened = core.reads.note(&answer);
            let lookup = match answer {
                Ok(Some(found)) => {
                    core.counters.hits.add(1);
                    Lookup::Found { tree: found.tree, worker: found.made.worker }
                }
                Ok(None) => {
                    core.counters.misses.add(1);
                    Lookup::Nothing
                }
                Err(error) => {
                    core.counters.failed(&error);
                    if opened || !error.is_transient() {
                        core.warn(false, &error);
                    }
                    Lookup::Nothing
                }
            };
            shared.decide(key, lookup);
        });
        if let Some(slot) = board.lookups.get_mut(&key) {
            slot.1 = Some(task.abort_handle());
        }
        true
    }

    /// How the look-up of a key stands; `None` where nobody asked.
    pub fn lookup(&self, key: &Digest) -> Option<Lookup> {
        self.shared.board().lookups.get(key).map(|(l, _)| l.clone())
    }

    /// Whether the server has kept us waiting in vain and said nothing since: no more time is spent on it.
    pub fn is_mute(&self) -> bool {
        self.mute(&mut self.shared.board())
    }

    fn mute(&self, board: &mut Board) -> bool {
        let spoke = |since: Instant| self.core.life.silence().is_some_and(|s| s < since.elapsed());
        if board.mute_since.is_some_and(spoke) {
            board.mute_since = None;
        }
        board.mute_since.is_some()
    }

    /// A key whose look-up was decided since it was asked; each once.
    pub fn decided(&self) -> Option<Digest> {
        self.shared.board().decided.pop_front()
    }

    /// Ends the wait for a key: its work begins here.
    pub fn give_up(&self, key: &Digest) {
        let mut board = self.shared.board();
        let Some((lookup, task)) = board.lookups.get_mut(key) else { return };
        let task = match lookup {
            // The answer still tells whether the server lives; nothing is brought any more.
            Lookup::Asked { .. } => None,
            Lookup::Coming { .. } => task.take(),
            _ => return,
        };
        *lookup = Lookup::Nothing;
        self.core.counters.skipped.add(1);
        if let Some(task) = task {
            task.abort();
            board.pending = board.pending.saturating_sub(1);
            if board.pending == 0 {
                board.asking_since = None;
            }
        }
    }

    /// Forgets how look-ups ended, so that the next build asks again.
    pub fn forget_lookups(&self) {
        self.shared.board().lookups.retain(|_, (l, _)| !l.is_over());
    }

    /// Waits until some look-up is decided; false when the work should begin here instead: the server has been silent for
    /// [`PATIENCE`], one of these look-ups has taken longer than that and than the work itself takes, or there are none left.
    pub fn wait(&self, waiting: &dyn Fn() -> Vec<Digest>) -> bool {
        let begin = Instant::now();
        let mut board = self.shared.board();
        loop {
            if !board.decided.is_empty() {
                return true;
            }
            if self.is_in_vain(&mut board, begin, waiting) {
                return false;
            }
            board = self.shared.changed.wait_timeout(board, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for one look-up, as [`Remote::wait`] does for several, and returns how it stands then.
    pub fn wait_for(&self, key: &Digest) -> Lookup {
        let begin = Instant::now();
        let mut board = self.shared.board();
        loop {
            let lookup = board.lookups.get(key).map_or(Lookup::Nothing, |(l, _)| l.clone());
            if lookup.is_over() || self.is_in_vain(&mut board, begin, &|| vec![*key]) {
                return lookup;
            }
            board = self.shared.changed.wait_timeout(board, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether a wait since `begin` for these look-ups is of no more use.
    fn is_in_vain(&self, board: &mut Board, begin: Instant, waiting: &dyn Fn() -> Vec<Digest>) -> bool {
        if self.mute(board) {
            return true;
        }
        let asking = board.asking_since.map_or(Duration::ZERO, |since| since.elapsed());
        let silence = self.core.life.silence().map_or(asking, |s| s.min(asking));
        if silence >= self.patience {
            board.mute_since = Some(Instant::now());
            return true;
        }
        // A result is worth the wait for as long as making it takes.
        let late = |key: &Digest| match board.lookups.get(key).map(|(l, _)| l) {
            Some(Lookup::Asked { since }) => since.elapsed() >= self.patience,
            Some(Lookup::Coming { since, took }) => since.elapsed() >= took.unwrap_or(self.patience).max(self.patience),
            _ => true,
        };
        let keys = waiting();
        // Whatever was waited for may have been taken by others meanwhile.
        keys.is_empty() || (begin.elapsed() >= self.patience && keys.iter().any(late))
    }

    /// Of these undecided look-ups, the one to give up first: whose work costs least, as far as that is known.
    pub fn cheapest(&self, keys: &[Digest]) -> Option<Digest> {
        let board = self.shared.board();
        let cost = |key: &&Digest| match board.lookups.get(*key) {
            Some((Lookup::Coming { took, .. }, _)) => took.unwrap_or(Duration::MAX),
            _ => Duration::ZERO,
        };
        keys.iter().min_by_key(cost).copied()
    }

    /// Stores a result in the background; does nothing where the settings say `read`.
    pub fn publish(&self, action: CacheAction, tree: Digest, took: Option<Duration>) {
        if self.mode == Mode::ReadWrite && self.runtime.is_some() {
            self.uploads.add(Upload { action, tree, took });
        }
    }

    /// Asks the server for something that it does not have, to see whether it answers, within `limit`.
    ///
    /// # Errors
    /// When it does not, or does not let us.
    pub fn check(&self, limit: Duration) -> Result<(), RemoteError> {
        let gone = || RemoteError::new(ErrorKind::Local, "the transfers have ended");
        let backend = &self.core.backend;
        let ask = async {
            backend.offer().await?;
            backend.result(&RemoteDigest::of(b"is anybody there?")).await.map(drop)
        };
        let late = || RemoteError::new(ErrorKind::Late, format!("no answer within {:.1} s", limit.as_secs_f64()));
        let limited = async { tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| Err(late())) };
        self.runtime().ok_or_else(gone)?.block_on(limited)
    }

    /// Counts a result that was not even tried to be stored.
    pub fn could_not_publish(&self) {
        self.core.counters.not_stored.add(1);
    }

    /// How far uploads are.
    pub fn progress(&self) -> UploadProgress {
        self.uploads.progress()
    }

    /// Waits for uploads, as long as the server takes them; what it does not take is counted and warned of. `tick` is
    /// told how far they are, and says whether to go on.
    pub fn finish(&self, tick: &mut dyn FnMut(UploadProgress) -> bool) {
        let begin = Instant::now();
        loop {
            let progress = self.uploads.progress();
            if progress.done >= progress.results {
                break;
            }
            let patience = if self.core.life.silence().is_some() { LAST_PATIENCE } else { self.patience };
            let silence = self.core.life.silence().unwrap_or(Duration::MAX).min(begin.elapsed());
            if !tick(progress) || silence >= patience {
                let left = progress.results - progress.done;
                self.uploads.give_up();
                let what = format!("{left} results are not stored yet and the server is silent");
                self.core.warn(true, &RemoteError::new(ErrorKind::Late, what));
                break;
            }
            std::thread::sleep(TICK / 2);
        }
        tick(self.uploads.progress());
    }

    /// Warnings since the last call, each kind once.
    pub fn warnings(&self) -> Vec<String> {
        if self.is_mute() {
            let what = format!("no answer within {:.1} s", self.patience.as_secs_f64());
            self.core.warn(false, &RemoteError::new(ErrorKind::Late, what));
        }
        self.core.warnings()
    }

    /// What happened so far.
    pub fn stats(&self) -> RemoteStats {
        self.core.counters.stats(&self.core.life)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

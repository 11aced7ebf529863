//! Remote execution: runs a command on an input tree on a machine of the server's choice.
//!
//! [`Executions::run`] brings the inputs, asks for the execution, waits, and hands over what came of it after all checks
//! that need no bytes; [`Executions::fetch`] takes outputs into the store, verified. Failures are tried again by their
//! kind: a busy or lost server with pauses, missing inputs once after bringing them again, a remembered failure or a
//! result whose blobs are gone once without the server's memory. Used by the engine.

mod folder;
mod inputs;
mod outputs;
mod wait;

pub use folder::Folder;

use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::grpc::{GrpcClient, Offer};
use super::proto::{Action, Command, ExecuteResponse, ExecutedActionMetadata, Platform, Property, Timestamp};
use super::settings::RemoteSettings;
use super::source::BlobSource;
use super::{Life, retry};
use crate::{Digest, Store};
use bytes::Bytes;
use inputs::Brought;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Most tries of one action on a server that cannot now.
const TRIES: u32 = 6;
/// Mean pause behind the first of them; twice as long behind each later one.
const PAUSE: Duration = Duration::from_millis(250);
/// Most bytes of what a command said that are kept.
pub(crate) const MAX_SAID: u64 = 1 << 20;

/// A command on an input tree.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Program, as a path below the root, and arguments.
    pub arguments: Vec<String>,
    /// The root folder.
    pub root: Folder,
    /// The bytes of its files, those that the server has included.
    pub blobs: Vec<(RemoteDigest, BlobSource)>,
    /// Folder that the command makes.
    pub output: String,
    /// What the worker must have.
    pub platform: BTreeMap<String, String>,
    /// Longest run.
    pub time_limit: Duration,
    /// Whether to run it even if the server remembers its result.
    pub forced: bool,
}

/// When and where something ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timing {
    /// The worker, as the server names it.
    pub worker: String,
    /// From the request to a worker.
    pub queued: Option<Duration>,
    /// Bringing inputs to the worker.
    pub brought: Option<Duration>,
    /// The command.
    pub ran: Option<Duration>,
}

/// What an execution made.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Files of the output folder; none of them is here yet.
    pub files: BTreeMap<String, RemoteDigest>,
    /// Whether the server remembered it.
    pub remembered: bool,
    /// When and where it ran.
    pub timing: Timing,
    /// What the command wrote to its error output.
    pub said: String,
}

/// Why there is no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionFailure {
    /// The command failed, and not in a memory of the server.
    #[error("the command ended with {code}{}{}", if .stderr.is_empty() { "" } else { ": " }, .stderr.trim_end())]
    Command {
        /// Exit code.
        code: i32,
        /// What it wrote.
        stdout: Bytes,
        /// What it wrote to its error output.
        stderr: String,
        /// When and where.
        timing: Timing,
    },
    /// It ran longer than its limit.
    #[error("the command ran longer than {} s", .0.as_secs())]
    Late(Duration),
    /// The build was cancelled; the server was told.
    #[error("cancelled")]
    Cancelled,
    /// The server did not do what it was asked for.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// Counts, for people and tests.
#[derive(Debug, Default)]
pub struct ExecutionCounters {
    /// Executions asked for, repetitions included.
    pub asked: AtomicU64,
    /// Answers from the server's memory.
    pub remembered: AtomicU64,
    /// Repetitions.
    pub retries: AtomicU64,
    /// Digests that the server was asked about.
    pub checked: AtomicU64,
    /// Blobs sent.
    pub sent: AtomicU64,
    /// Operations that were cancelled.
    pub cancelled: AtomicU64,
}

/// Whether to stop; looked at often.
pub type Stop = dyn Fn() -> bool + Send + Sync;

/// Executions on one server. Calls block; many threads may call at once.
pub struct Executions {
    runtime: tokio::runtime::Runtime,
    shared: Shared,
}

/// What all executions share.
pub(crate) struct Shared {
    pub(crate) client: GrpcClient,
    pub(crate) life: Arc<Life>,
    pub(crate) store: Arc<Store>,
    pub(crate) counters: ExecutionCounters,
    brought: Brought,
    offer: OnceCell<Offer>,
}

impl Shared {
    pub(crate) async fn offer(&self) -> Result<Offer, RemoteError> {
        self.offer.get_or_try_init(|| self.client.capabilities()).await.copied()
    }

    /// Does something that may be tried again, as often as that can help.
    pub(crate) async fn again<T>(
        &self,
        stop: &Stop,
        mut what: impl AsyncFnMut(u32) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let mut tries = 0;
        loop {
            let answer = what(tries).await;
            tries += 1;
            match answer {
                Err(e) if e.is_transient() && tries < TRIES && !stop() => {
                    self.counters.retries.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(retry::jitter(PAUSE * 2u32.pow(tries - 1))).await;
                }
                done => return done,
            }
        }
    }
}

/// What went wrong with an answer, and so what to change in the next try.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    /// Inputs were brought again.
    brought: bool,
    /// The server's memory was left out.
    fresh: bool,
}

impl Executions {
    /// Executions on the server of these settings. Connects with the first call.
    ///
    /// # Errors
    /// When the settings cannot work, or a thread does not start.
    pub fn new(settings: &RemoteSettings, store: Arc<Store>) -> Result<Executions, RemoteError> {
        if !settings.url.starts_with("grpc://") && !settings.url.starts_with("grpcs://") {
            let what = format!("{:?} executes nothing: remote execution needs grpc:// or grpcs://", settings.url);
            return Err(RemoteError::new(ErrorKind::Setting, what));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("ptq-execution")
            .enable_all()
            .build()
            .map_err(|e| RemoteError::new(ErrorKind::Local, format!("no threads for the network: {e}")))?;
        let client = {
            let _inside = runtime.enter();
            GrpcClient::new(settings)?
        };
        let shared = Shared {
            client,
            life: Arc::new(Life::default()),
            store,
            counters: ExecutionCounters::default(),
            brought: Brought::default(),
            offer: OnceCell::new(),
        };
        Ok(Executions { runtime, shared })
    }

    /// Counts so far.
    pub fn counters(&self) -> &ExecutionCounters {
        &self.shared.counters
    }

    /// Whether the server executes at all.
    ///
    /// # Errors
    /// When it does not, or does not answer.
    pub fn check(&self) -> Result<(), RemoteError> {
        let offer = self.runtime.block_on(self.shared.offer())?;
        if offer.executes {
            return Ok(());
        }
        Err(RemoteError::new(ErrorKind::Protocol, "the server stores, but does not execute (execution capabilities)"))
    }

    /// Runs a command there.
    ///
    /// # Errors
    /// When the command fails, or the server does not do it.
    pub fn run(&self, execution: &Execution, stop: &Stop) -> Result<Executed, ExecutionFailure> {
        self.runtime.block_on(self.shared.run(execution, stop))
    }

    /// Takes blobs of a result into the store; their own digests in the same order.
    ///
    /// # Errors
    /// When one of them is gone or holds other bytes; then the result is of no use.
    pub fn fetch(&self, blobs: &[RemoteDigest], stop: &Stop) -> Result<Vec<Digest>, RemoteError> {
        self.runtime.block_on(self.shared.fetch(blobs, stop))
    }
}

impl Shared {
    async fn run(&self, execution: &Execution, stop: &Stop) -> Result<Executed, ExecutionFailure> {
        let (action, blobs) = action_of(execution);
        let digest = RemoteDigest::of(&action);
        let mut tried = Tried { fresh: execution.forced, ..Tried::default() };
        let mut tries = 0;
        loop {
            if stop() {
                return Err(ExecutionFailure::Cancelled);
            }
            self.bring(&blobs, stop).await?;
            self.counters.asked.fetch_add(1, Ordering::Relaxed);
            let answer = self.execute(&digest, tried.fresh, stop).await;
            let again = match self.judge(execution, answer).await {
                Ok(executed) => return Ok(executed),
                Err(again) => again,
            };
            tries += 1;
            match again {
                Again::Bring if !tried.brought => {
                    tried.brought = true;
                    self.brought.forget(blobs.iter().map(|(d, _)| *d));
                }
                // The server remembers a failure, or a result whose blobs it has lost.
                Again::Fresh(_) if !tried.fresh => tried.fresh = true,
                Again::Later(_) if tries < TRIES && !stop() => {
                    // Some servers say of missing inputs only that something failed inside.
                    if !tried.brought {
                        tried.brought = true;
                        self.brought.forget(blobs.iter().map(|(d, _)| *d));
                    }
                    tokio::time::sleep(retry::jitter(PAUSE * 2u32.pow(tries - 1))).await;
                }
                Again::Fresh(failure) | Again::Later(failure) | Again::Never(failure) => return Err(failure),
                Again::Bring => {
                    let what = "the server does not find inputs that it has just been given; is its storage full?";
                    return Err(RemoteError::new(ErrorKind::Absent, what).into());
                }
            }
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What an answer means: first its status, then how the command ended, then whether the outputs are there.
    async fn judge(
        &self,
        execution: &Execution,
        answer: Result<ExecuteResponse, ExecutionFailure>,
    ) -> Result<Executed, Again> {
        let response = match answer {
            Ok(response) => response,
            Err(ExecutionFailure::Remote(e)) if lacks_inputs(&e) => return Err(Again::Bring),
            Err(ExecutionFailure::Remote(e)) if e.is_transient() => return Err(Again::Later(e.into())),
            Err(other) => return Err(Again::Never(other)),
        };
        if let Some(status) = response.status.filter(|s| s.code != 0) {
            return Err(of_status(status.code, status.message, &response.message, execution));
        }
        let Some(result) = response.result else {
            let what = "the server ended an execution without a result";
            return Err(Again::Later(RemoteError::new(ErrorKind::Busy, what).into()));
        };
        if response.cached_result {
            self.counters.remembered.fetch_add(1, Ordering::Relaxed);
        }
        let timing = result.execution_metadata.as_ref().map(timing_of).unwrap_or_default();
        let stderr = self.said(&result.stderr_raw, result.stderr_digest.as_ref()).await;
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        if result.exit_code != 0 {
            let stdout = self.said(&result.stdout_raw, result.stdout_digest.as_ref()).await;
            let failure = ExecutionFailure::Command { code: result.exit_code, stdout, stderr, timing };
            // A command that was killed may have lacked memory: elsewhere it may not.
            let elsewhere = response.cached_result || result.exit_code > 128 || result.exit_code < 0;
            return Err(if elsewhere { Again::Fresh(failure) } else { Again::Never(failure) });
        }
        match self.outputs(&result, &execution.output).await {
            Ok(files) => Ok(Executed { files, remembered: response.cached_result, timing, said: stderr }),
            Err(e) if e.is_transient() => Err(Again::Later(e.into())),
            Err(e) => Err(Again::Fresh(e.into())),
        }
    }
}

/// Whether a refusal of the call itself says that inputs are missing: NOT_FOUND, or FAILED_PRECONDITION as the API wants it.
fn lacks_inputs(error: &RemoteError) -> bool {
    error.kind == ErrorKind::Absent || error.what.starts_with("FailedPrecondition")
}

/// Whether, and how, to try again.
enum Again {
    /// After bringing the inputs again.
    Bring,
    /// Without the server's memory.
    Fresh(ExecutionFailure),
    /// After a pause.
    Later(ExecutionFailure),
    /// Not at all.
    Never(ExecutionFailure),
}

/// The action's bytes, and all blobs that it consists of.
fn action_of(execution: &Execution) -> (Vec<u8>, Vec<(RemoteDigest, BlobSource)>) {
    let properties =
        execution.platform.iter().map(|(name, value)| Property { name: name.clone(), value: value.clone() });
    let platform = Platform { properties: properties.collect() };
    let platform = (!platform.properties.is_empty()).then_some(platform);
    let command = Command {
        arguments: execution.arguments.clone(),
        output_paths: vec![execution.output.clone()],
        // Servers older than API 2.1 look here.
        output_directories: vec![execution.output.clone()],
        platform: platform.clone(),
        ..Command::default()
    }
    .encode_to_vec();
    let mut blobs = execution.blobs.clone();
    let root = execution.root.blobs(&mut blobs);
    let seconds = i64::try_from(execution.time_limit.as_secs()).unwrap_or(i64::MAX);
    let action = Action {
        command_digest: Some(RemoteDigest::of(&command).to_proto()),
        input_root_digest: Some(root.to_proto()),
        timeout: Some(super::proto::Duration { seconds, nanos: 0 }),
        platform,
        ..Action::default()
    }
    .encode_to_vec();
    for bytes in [command, action.clone()] {
        blobs.push((RemoteDigest::of(&bytes), BlobSource::Bytes(bytes.into())));
    }
    (action, blobs)
}

/// What a status means for the next try.
fn of_status(code: i32, message: String, note: &str, execution: &Execution) -> Again {
    use tonic::Code;
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    match Code::from(code) {
        Code::NotFound | Code::FailedPrecondition => Again::Bring,
        Code::DeadlineExceeded => Again::Never(ExecutionFailure::Late(execution.time_limit)),
        // We did not cancel it, so somebody took the worker away.
        Code::Cancelled => {
            Again::Later(RemoteError::new(ErrorKind::Busy, format!("cancelled there: {message}{note}")).into())
        }
        other => {
            let mut error = RemoteError::from(tonic::Status::new(other, message));
            error.what += &note;
            if error.is_transient() { Again::Later(error.into()) } else { Again::Never(error.into()) }
        }
    }
}

/// Spans between the timestamps of a result.
fn timing_of(data: &ExecutedActionMetadata) -> Timing {
    let span = |from: &Option<Timestamp>, to: &Option<Timestamp>| {
        let nanos = |t: &Timestamp| i128::from(t.seconds) * 1_000_000_000 + i128::from(t.nanos);
        let (from, to) = (nanos(from.as_ref()?), nanos(to.as_ref()?));
        Some(Duration::from_nanos(u64::try_from(to - from).ok()?))
    };
    Timing {
        worker: data.worker.chars().filter(|c| !c.is_control()).take(120).collect(),
        queued: span(&data.queued_timestamp, &data.worker_start_timestamp),
        brought: span(&data.input_fetch_start_timestamp, &data.input_fetch_completed_timestamp),
        ran: span(&data.execution_start_timestamp, &data.execution_completed_timestamp),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn execution() -> Execution {
        let mut root = Folder::default();
        root.file("ptq", RemoteDigest::of(b"program"), true);
        root.folder("in", super::super::input_root([("a/b".to_owned(), RemoteDigest::of(b"1"))]).into());
        Execution {
            arguments: vec!["./ptq".into()],
            root,
            blobs: vec![(RemoteDigest::of(b"1"), BlobSource::Bytes(Bytes::from_static(b"1")))],
            output: "out".into(),
            platform: BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]),
            time_limit: Duration::from_secs(60),
            forced: false,
        }
    }

    #[test]
    fn an_action_names_its_program_platform_and_every_folder() {
        let (action, blobs) = action_of(&execution());
        let message = Action::decode(&action[..]).unwrap();
        let names: Vec<String> = message.platform.unwrap().properties.into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["a", "b"], "the API demands this order");
        // Blob, folder `in`, root, command, action.
        assert_eq!(blobs.len(), 5);
        for digest in [message.command_digest, message.input_root_digest] {
            let digest = RemoteDigest::from_proto(&digest.unwrap()).unwrap();
            assert!(blobs.iter().any(|(d, _)| *d == digest));
        }
        let other = Execution { platform: BTreeMap::new(), ..execution() };
        assert_ne!(action_of(&other).0, action, "platforms are part of an execution's name");
    }

    #[test]
    fn each_status_has_its_way_of_trying_again() {
        let of = |code| of_status(code, "m".into(), "", &execution());
        assert!(matches!(of(5), Again::Bring) && matches!(of(9), Again::Bring));
        assert!(
            matches!(of(8), Again::Later(_)) && matches!(of(14), Again::Later(_)) && matches!(of(1), Again::Later(_))
        );
        assert!(matches!(of(4), Again::Never(ExecutionFailure::Late(_))));
        assert!(matches!(of(3), Again::Never(_)) && matches!(of(7), Again::Never(_)));
    }
}

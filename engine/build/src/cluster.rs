//! Runs actions on other machines: each step of a rule becomes one execution of `ptq exec-stage` on a worker.
//!
//! An action's inputs travel by digest; what a step needs next runs as actions of their own, many at a time; outputs come
//! back verified and are recorded like those of the local executor, under the same keys. Used by the executor.

mod program;
mod resources;
mod step;

use crate::action::{ActionSpec, InputKind};
use crate::build::BuildOptions;
use crate::error::EngineError;
use crate::events::{Event, RemoteRun};
use crate::executor::{Executor, cancelled, internal};
use crate::manifest::ExecutionConfig;
use crate::permits::Permits;
use crate::project::Project;
use crate::worker::files::{Answer, Origin, Wanted};
use ptq_cache::remote::{
    BlobSource, ErrorKind, Executed, ExecutionFailure, Executions, RemoteDigest, RemoteError, RemoteSettings,
};
use ptq_cache::{Digest, Output, Store};
use ptq_ir::Diagnostic;
use ptq_rule::{ActionRequest, Failure, InputRef};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use step::StepOf;

/// Most steps of one action; a rule that asks for more does not end.
const MAX_STEPS: usize = 64;
/// Failures of the way to the server, one behind the other, that make us stop asking.
const GIVE_UP: u32 = 3;
/// Code of failures that are not the rule's.
const CODE: &str = "REMOTE01";

/// The program that workers run.
struct Program {
    digest: RemoteDigest,
    source: BlobSource,
}

/// Where actions run.
pub(crate) struct Cluster {
    executions: Executions,
    config: ExecutionConfig,
    program: OnceLock<Result<Program, String>>,
    worker: Option<std::path::PathBuf>,
    /// Executions at a time.
    in_flight: Permits,
    /// Threads that help with the actions that a step asks for.
    helpers: Permits,
    broken: AtomicU32,
    warned: AtomicBool,
}

/// What came of a step: the answer, all files of its folder in the store, how it ran.
struct Answered {
    answer: Answer,
    files: BTreeMap<String, Output>,
    executed: Executed,
}

/// A named blob of the store.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) name: String,
    pub(crate) digest: Digest,
}

impl Cluster {
    /// The cluster of these settings; `root` is the manifest's folder.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub(crate) fn new(
        settings: &RemoteSettings,
        config: &ExecutionConfig,
        root: &Path,
        store: Arc<Store>,
    ) -> Result<Cluster, RemoteError> {
        Ok(Cluster {
            executions: Executions::new(settings, store)?,
            config: config.clone(),
            program: OnceLock::new(),
            worker: config.worker.as_ref().map(|w| root.join(w)),
            in_flight: Permits::new(config.in_flight),
            helpers: Permits::new(config.in_flight),
            broken: AtomicU32::new(0),
            warned: AtomicBool::new(false),
        })
    }

    /// Actions at a time.
    pub(crate) fn in_flight(&self) -> usize {
        self.config.in_flight.max(1)
    }

    /// Whether actions may run here when they cannot run there.
    pub(crate) fn falls_back(&self) -> bool {
        self.config.fallback
    }

    /// Says once why actions run here.
    pub(crate) fn warn(&self, executor: &Executor<'_>, variant: &str, stage: &str, failure: &Failure) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            let why = failure.diagnostics.first().map_or_else(String::new, |d| d.message.clone());
            let (variant, stage) = (variant.to_owned(), stage.to_owned());
            let message = format!("warning: remote execution: {why}; running here instead");
            executor.events.event(Event::Warning { variant, stage, message });
        }
    }

    /// Runs an action there and records its result here.
    ///
    /// # Errors
    /// The rule's failure, or a [`CODE`] failure when it could not be run there ([`is_remote`]).
    pub(crate) fn run(
        &self,
        executor: &Executor<'_>,
        spec: &ActionSpec,
        key: &Digest,
        variant: &str,
        forced: bool,
    ) -> Result<(Digest, RemoteRun), Failure> {
        let own = own_inputs(executor, spec)?;
        let mut results: Vec<Vec<Blob>> = Vec::new();
        let mut run = RemoteRun::default();
        let mut whole = false;
        let mut steps = 0;
        while steps < MAX_STEPS {
            let step = StepOf { cluster: self, executor, spec, own: &own, results: &results, whole, forced };
            let Answered { answer, files, executed } = self.step(&step)?;
            add(&mut run, &executed);
            match answer {
                Answer::Done(named) => {
                    let tree = self.record(executor, key, &named, &files)?;
                    return Ok((tree, run));
                }
                Answer::Need(wanted) => {
                    steps += 1;
                    results.extend(self.need(executor, &own, wanted, &files, variant)?);
                }
                // It reads what we took for handed on: from now on everything travels.
                Answer::Absent(_) if !whole => whole = true,
                Answer::Absent(names) => {
                    let what = format!("a worker misses inputs that it was sent: {}", names.join(", "));
                    return Err(failure(&what, None));
                }
                Answer::Failed(diagnostics) => return Err(Failure { diagnostics }),
            }
        }
        Err(internal(&format!("rule {} asked for more than {MAX_STEPS} rounds of actions", spec.rule)))
    }

    /// One execution.
    fn step(&self, step: &StepOf<'_>) -> Result<Answered, Failure> {
        if self.broken.load(Ordering::Relaxed) >= GIVE_UP {
            return Err(failure("the server did not answer before, so it is not asked any more", None));
        }
        // Asked once: what the server offers is remembered.
        if let Err(error) = self.executions.check() {
            let refused = ExecutionFailure::Remote(error);
            self.note(&refused);
            return Err(self.of_failure(&step.spec.rule, refused));
        }
        let execution = step.execution()?;
        let stop = step.executor.session.stop();
        let _permit = self.in_flight.one();
        if step.executor.session.cancelled() {
            return Err(cancelled());
        }
        let mut execution = execution;
        let executed = loop {
            let answer = self.executions.run(&execution, &*stop).and_then(|executed| {
                let (answer, files) = self.answer(step.executor, &executed)?;
                Ok(Answered { answer, files, executed })
            });
            match answer {
                // What it made was lost or damaged before we had it.
                Err(ExecutionFailure::Remote(e)) if lost(&e) && !execution.forced => execution.forced = true,
                other => break other,
            }
        };
        match executed {
            Ok(done) => {
                self.broken.store(0, Ordering::Relaxed);
                Ok(done)
            }
            Err(failure) => {
                self.note(&failure);
                Err(self.of_failure(&step.spec.rule, failure))
            }
        }
    }

    /// A server that does not answer several times in a row is not asked any more in this build.
    fn note(&self, failure: &ExecutionFailure) {
        if matches!(failure, ExecutionFailure::Remote(e) if e.is_transient()) {
            self.broken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes all files of an output folder into the store, and reads the answer among them.
    fn answer(
        &self,
        executor: &Executor<'_>,
        executed: &Executed,
    ) -> Result<(Answer, BTreeMap<String, Output>), ExecutionFailure> {
        let poisoned = |what: String| RemoteError::new(ErrorKind::Poisoned, what);
        let store = &executor.session.store;
        let remote: Vec<RemoteDigest> = executed.files.values().copied().collect();
        let local = self.executions.fetch(&remote, &*executor.session.stop())?;
        let mut files = BTreeMap::new();
        for ((name, remote), digest) in executed.files.iter().zip(local) {
            store.note_remote_digest(&digest, *remote);
            files.insert(name.clone(), Output { name: name.clone(), digest, size: remote.size });
        }
        let answer = files.get(crate::worker::files::ANSWER).and_then(|file| store.get(&file.digest));
        let answer = answer.ok_or_else(|| poisoned("a worker's output has no answer".into()))?;
        let answer = serde_json::from_slice(&answer);
        Ok((answer.map_err(|e| poisoned(format!("a worker's answer does not parse: {e}")))?, files))
    }

    fn record(
        &self,
        executor: &Executor<'_>,
        key: &Digest,
        named: &[(String, String)],
        files: &BTreeMap<String, Output>,
    ) -> Result<Digest, Failure> {
        let mut outputs = Vec::with_capacity(named.len());
        for (name, file) in named {
            if !is_name(name) {
                return Err(failure(&format!("a worker made an output with the name {name:?}"), None));
            }
            outputs.push(Output { name: name.clone(), ..made(files, file)?.clone() });
        }
        executor.session.store.record_known(key, &outputs).map_err(|e| internal(&e.to_string()))
    }

    /// Runs what a step asks for, many at a time; their trees in the order asked.
    fn need(
        &self,
        executor: &Executor<'_>,
        own: &[Blob],
        wanted: Vec<Wanted>,
        files: &BTreeMap<String, Output>,
        variant: &str,
    ) -> Result<Vec<Vec<Blob>>, Failure> {
        let specs = wanted.iter().map(|w| requested(executor, own, w, files)).collect::<Result<Vec<_>, _>>()?;
        executor.announce(&specs);
        let helpers = self.helpers.some(specs.len().saturating_sub(1));
        let next = std::sync::atomic::AtomicUsize::new(0);
        let done: Mutex<BTreeMap<usize, Result<Digest, Failure>>> = Mutex::default();
        let failed = AtomicBool::new(false);
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(spec) = specs.get(i) else { return };
                if failed.load(Ordering::Relaxed) || executor.session.cancelled() {
                    return;
                }
                let tree = executor.run(spec, variant, &[], 1);
                failed.fetch_or(tree.is_err(), Ordering::Relaxed);
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(i, tree);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..helpers.count() {
                scope.spawn(work);
            }
            work();
        });
        drop(helpers);
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        // The first in order decides what is said, whichever came first in time.
        if let Some(failure) = done.values().find_map(|r| r.as_ref().err().cloned()) {
            return Err(failure);
        }
        if done.len() < specs.len() {
            return Err(cancelled());
        }
        done.into_values().map(|tree| blobs_of(&executor.session.store, &tree?)).collect()
    }

    /// The servers' digest of a blob, and where its bytes are when they are asked for.
    pub(crate) fn blob(&self, executor: &Executor<'_>, digest: &Digest) -> Result<(RemoteDigest, BlobSource), Failure> {
        let source = source_of(executor, digest).ok_or_else(|| crate::executor::lost(digest))?;
        let store = &executor.session.store;
        if let Some(known) = store.known_remote_digest(digest) {
            return Ok((known, source));
        }
        let bytes = executor.bytes(digest).ok_or_else(|| crate::executor::lost(digest))?;
        let remote = RemoteDigest::of(&bytes);
        store.note_remote_digest(digest, remote);
        Ok((remote, source))
    }

    /// The program that workers run.
    fn program(&self) -> Result<(RemoteDigest, BlobSource), Failure> {
        let read = || {
            let path = program::find(self.worker.as_deref())?;
            let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            Ok(Program { digest: RemoteDigest::of(&bytes), source: BlobSource::File(path) })
        };
        match self.program.get_or_init(read) {
            Ok(program) => Ok((program.digest, program.source.clone())),
            Err(why) => Err(failure(why, None)),
        }
    }

    fn of_failure(&self, rule: &str, found: ExecutionFailure) -> Failure {
        let hint = match &found {
            ExecutionFailure::Cancelled => return cancelled(),
            ExecutionFailure::Command { code: 1, stdout, .. } => {
                // The rule's own failure: what the local executor would have said.
                if let Ok(Answer::Failed(diagnostics)) = serde_json::from_slice(stdout) {
                    return Failure { diagnostics };
                }
                None
            }
            ExecutionFailure::Command { code: 2, .. } => {
                Some("name the worker program of this version: [remote] worker".to_owned())
            }
            ExecutionFailure::Command { code, .. } if *code > 128 || *code < 0 => {
                Some("the worker ended it, as for lack of memory; ask for more: [remote] memory_property".to_owned())
            }
            ExecutionFailure::Command { .. } => None,
            ExecutionFailure::Late(_) => Some("allow more: [remote] time_limit".to_owned()),
            _ if self.config.fallback => None,
            _ => Some("[remote] fallback = true runs here what cannot run there".to_owned()),
        };
        failure(&format!("{rule} did not run: {found}"), hint)
    }
}

impl Project {
    /// The machines where this build's actions run, where that is not this one.
    ///
    /// # Errors
    /// When there is no server to ask, or its settings cannot work.
    pub(crate) fn cluster(&self, options: &BuildOptions) -> Result<Option<Cluster>, EngineError> {
        let config = &self.manifest.execution;
        if options.dry_run || !(options.remote_exec || config.execute) {
            return Ok(None);
        }
        let wrong = |what: String| EngineError::Manifest(vec![Diagnostic::error("MANIFEST18", what)]);
        let settings = self.execution_settings().map_err(wrong)?;
        let cluster = Cluster::new(&settings, config, &self.root, self.store.clone());
        Ok(Some(cluster.map_err(|e| wrong(format!("remote execution: {e}")))?))
    }

    fn execution_settings(&self) -> Result<RemoteSettings, String> {
        let config = &self.manifest.execution;
        let mut settings = match &self.manifest.remote {
            Some(cache) => crate::tier::settings(cache, &self.root).map_err(|e| e.to_string())?,
            None => RemoteSettings::default(),
        };
        if let Some(url) = &config.url {
            settings.url.clone_from(url);
        }
        if let Some(instance) = &config.instance {
            settings.instance.clone_from(instance);
        }
        if settings.url.is_empty() {
            return Err("remote execution needs a server: [remote] url = \"grpc://HOST:PORT\"".into());
        }
        Ok(settings)
    }
}

/// Whether a failure says that an action could not be run there, rather than that its rule failed.
pub(crate) fn is_remote(failure: &Failure) -> bool {
    failure.diagnostics.iter().any(|d| d.code == CODE)
}

fn failure(what: &str, hint: Option<String>) -> Failure {
    let diagnostic = Diagnostic::error(CODE, format!("remote execution: {what}"));
    Failure::from(match hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    })
}

fn lost(error: &RemoteError) -> bool {
    matches!(error.kind, ErrorKind::Absent | ErrorKind::Corrupt | ErrorKind::Poisoned)
}

/// The file that an answer names.
fn made<'a>(files: &'a BTreeMap<String, Output>, file: &str) -> Result<&'a Output, Failure> {
    files.get(file).ok_or_else(|| failure(&format!("a worker's answer names {file}, which it did not make"), None))
}

/// Whether a name is a relative path without parts that lead elsewhere.
fn is_name(name: &str) -> bool {
    ptq_cache::remote::name_of_file(&ptq_cache::remote::file_name(name)).is_some()
}

/// Sums of all steps; the last one's worker.
fn add(run: &mut RemoteRun, executed: &Executed) {
    let seconds = |d: Option<Duration>| d.map_or(0.0, |d| d.as_secs_f64());
    let timing = &executed.timing;
    run.worker.clone_from(&timing.worker);
    run.steps += 1;
    run.remembered += u32::from(executed.remembered);
    if !executed.remembered {
        run.queued += seconds(timing.queued);
        run.brought += seconds(timing.brought);
        run.ran += seconds(timing.ran);
    }
    if !executed.said.is_empty() {
        run.said.push_str(&executed.said);
    }
}

/// All blobs of an action's inputs, in order of their names.
fn own_inputs(executor: &Executor<'_>, spec: &ActionSpec) -> Result<Vec<Blob>, Failure> {
    let mut all: BTreeMap<String, Digest> = BTreeMap::new();
    for input in &spec.inputs {
        match input.kind {
            InputKind::Blob => drop(all.insert(input.name.clone(), input.digest)),
            InputKind::Tree => {
                let entries = blobs_of(&executor.session.store, &input.digest)?;
                all.extend(entries.into_iter().map(|b| (b.name, b.digest)));
            }
        }
    }
    Ok(all.into_iter().map(|(name, digest)| Blob { name, digest }).collect())
}

fn blobs_of(store: &Store, tree: &Digest) -> Result<Vec<Blob>, Failure> {
    let entries = store.tree(tree).ok_or_else(|| crate::executor::lost(tree))?;
    Ok(entries.into_iter().map(|e| Blob { name: e.name, digest: e.digest }).collect())
}

/// Where the bytes of a digest are; nothing is read yet where they are a file.
fn source_of(executor: &Executor<'_>, digest: &Digest) -> Option<BlobSource> {
    let store = &executor.session.store;
    if let Some(path) = store.blob_file(digest).or_else(|| executor.scan.origins.get(digest).cloned()) {
        return Some(BlobSource::File(path));
    }
    store.has(digest).then_some(BlobSource::Stored(*digest))
}

/// The action that a worker asks for, as the local executor would have it.
fn requested(
    executor: &Executor<'_>,
    own: &[Blob],
    wanted: &Wanted,
    files: &BTreeMap<String, Output>,
) -> Result<ActionSpec, Failure> {
    let rule = executor.registry.iter().find(|r| r.name() == wanted.rule);
    let rule = rule.ok_or_else(|| failure(&format!("a worker asks for the rule {:?}", wanted.rule), None))?;
    let mut inputs = Vec::with_capacity(wanted.inputs.len());
    for (name, from) in &wanted.inputs {
        let from = match from {
            Origin::Own(n) => InputRef::Own(n.clone()),
            Origin::OwnPrefix(prefix) => InputRef::OwnPrefix(prefix.clone()),
            Origin::File(file) => {
                let digest = made(files, file)?.digest;
                let bytes = executor.session.store.get(&digest).ok_or_else(|| crate::executor::lost(&digest))?;
                InputRef::Inline(bytes)
            }
        };
        inputs.push((name.clone(), from));
    }
    let request = ActionRequest { rule: rule.name(), params: wanted.params.clone(), inputs };
    let digests = own.iter().map(|b| (b.name.clone(), b.digest)).collect();
    executor.requested(&request, &digests)
}

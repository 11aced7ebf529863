//! Runs actions, here or on other machines: drives a rule's steps, gives it inputs on demand, records what it made.

use crate::action::{ActionInput, ActionSpec, InputKind};
use crate::events::{Event, EventSink, RemoteRun};
use crate::permits::Permits;
use crate::registry::Registry;
use crate::session::Session;
use crate::sources::Scan;
use crate::stage;
use crate::tables::StoredTables;
use crate::tier::Tier;
use bytes::Bytes;
use ptq_cache::Digest;
use ptq_ir::Diagnostic;
use ptq_rule::{ActionRequest, Blobs, BuildRule, Context, Failure, InputRef, Inputs, Memo, Progress, Shelf, Step};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Most steps of one action; a rule that asks for more does not end.
const MAX_STEPS: usize = 64;

/// An action that some thread is running.
#[derive(Default)]
struct InFlight {
    result: Mutex<Option<Result<Digest, Failure>>>,
    ready: Condvar,
}

/// Runs actions.
pub(crate) struct Executor<'a> {
    pub(crate) registry: Registry,
    pub(crate) session: &'a Session,
    pub(crate) scan: &'a Scan,
    pub(crate) events: &'a dyn EventSink,
    /// The team's cache.
    pub(crate) tier: Option<&'a Tier>,
    /// Other machines, where actions run there.
    #[cfg(feature = "remote")]
    pub(crate) cluster: Option<&'a crate::cluster::Cluster>,
    /// Steps that run here at a time, where more threads wait for other machines.
    pub(crate) here: Option<Permits>,
    running: Mutex<BTreeMap<Digest, Arc<InFlight>>>,
    /// What actions share of what they make of their inputs.
    shelf: Arc<Shelf>,
}

impl<'a> Executor<'a> {
    pub(crate) fn new(registry: Registry, session: &'a Session, scan: &'a Scan, events: &'a dyn EventSink) -> Self {
        Executor {
            registry,
            session,
            scan,
            events,
            tier: None,
            #[cfg(feature = "remote")]
            cluster: None,
            here: None,
            running: Mutex::default(),
            shelf: Arc::default(),
        }
    }

    /// The tree that an action makes: remembered, made by another thread, or made now on up to `threads` threads.
    pub(crate) fn run(
        &self,
        spec: &ActionSpec,
        variant: &str,
        why: &[String],
        threads: usize,
    ) -> Result<Digest, Failure> {
        let key = spec.key();
        // What the team's cache has brought is in the store already, and still counts as its hit.
        let brought = self.tier.is_some_and(|t| t.has_brought(&key)) && self.session.fetched(&key).is_none();
        if let Some(tree) = self.session.done(&spec.rule, &key).filter(|_| !brought) {
            self.session.find(key);
            return Ok(tree);
        }
        let (flight, mine) = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            match running.get(&key) {
                Some(flight) => (flight.clone(), false),
                None => {
                    let flight = Arc::new(InFlight::default());
                    running.insert(key, flight.clone());
                    (flight, true)
                }
            }
        };
        if !mine {
            let mut result = flight.result.lock().unwrap_or_else(PoisonError::into_inner);
            while result.is_none() {
                result = flight.ready.wait(result).unwrap_or_else(PoisonError::into_inner);
            }
            return result.clone().unwrap_or_else(|| Err(internal("an action ended without a result")));
        }
        let result = self.execute(spec, &key, variant, why, threads);
        *flight.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.clone());
        flight.ready.notify_all();
        result
    }

    fn execute(
        &self,
        spec: &ActionSpec,
        key: &Digest,
        variant: &str,
        why: &[String],
        threads: usize,
    ) -> Result<Digest, Failure> {
        if let Some(tree) = self.shared(spec, key, variant) {
            return Ok(tree);
        }
        let start = Instant::now();
        let stage = spec.rule.clone();
        self.events.event(Event::Started { variant: variant.to_owned(), stage: stage.clone() });
        let (tree, remote) = self.make(spec, key, variant, threads)?;
        self.session.finish(*key, tree);
        if let Some(run) = &remote {
            self.session.ran_remotely(*key, run.clone());
        }
        let (seconds, tier) = (start.elapsed().as_secs_f64(), remote.as_ref().map(|_| "remote-exec"));
        let bytes = self.session.store.tree(&tree).into_iter().flatten().map(|e| e.size).sum();
        let (variant, why) = (variant.to_owned(), why.to_vec());
        self.events.event(Event::Ran { variant, stage, seconds, bytes, why, tier, remote });
        if let Some(tier) = self.tier {
            tier.publish(self, spec, tree, Some(start.elapsed()));
        }
        Ok(tree)
    }

    /// Makes an action's tree, on another machine or here, and records it.
    fn make(
        &self,
        spec: &ActionSpec,
        key: &Digest,
        variant: &str,
        threads: usize,
    ) -> Result<(Digest, Option<RemoteRun>), Failure> {
        #[cfg(feature = "remote")]
        if let Some(cluster) = self.cluster.filter(|_| stage::name_of(&spec.rule).is_none()) {
            match cluster.run(self, spec, key, variant, self.session.is_forced(&spec.rule)) {
                Ok((tree, run)) => return Ok((tree, Some(run))),
                Err(f) if crate::cluster::is_remote(&f) && cluster.falls_back() => {
                    cluster.warn(self, variant, &spec.rule, &f);
                }
                Err(f) => return Err(f),
            }
        }
        let blobs = match stage::name_of(&spec.rule) {
            Some(name) => {
                let _permit = self.here.as_ref().map(Permits::one);
                stage::run(self, name, spec)?
            }
            None => self.steps(self.rule(&spec.rule)?, spec, variant, threads)?,
        };
        let outputs: Vec<(String, Bytes)> = blobs.into_iter().collect();
        Ok((self.session.store.record(key, &outputs).map_err(|e| internal(&e.to_string()))?, None))
    }

    /// Lets actions run on other machines; `jobs` at a time run here where they cannot.
    #[cfg(feature = "remote")]
    pub(crate) fn run_on(&mut self, cluster: &'a crate::cluster::Cluster, jobs: usize) {
        self.cluster = Some(cluster);
        self.here = Some(Permits::new(jobs));
    }

    /// Actions at a time, where `jobs` may run here.
    pub(crate) fn at_once(&self, jobs: usize) -> usize {
        #[cfg(feature = "remote")]
        if let Some(cluster) = self.cluster {
            return cluster.in_flight().max(jobs);
        }
        jobs
    }

    /// The tree of an action as the team's cache has it, brought here.
    fn shared(&self, spec: &ActionSpec, key: &Digest, variant: &str) -> Option<Digest> {
        let tier = self.tier.filter(|tier| tier.ask(self, spec))?;
        let (tree, worker) = tier.take(key)?;
        self.session.fetch(*key, tree, worker);
        self.events.event(Event::Hit { variant: variant.to_owned(), stage: spec.rule.clone(), tier: "remote" });
        Some(tree)
    }

    fn rule(&self, name: &str) -> Result<&'static dyn BuildRule, Failure> {
        let found = self.registry.iter().copied().find(|r| r.name() == name);
        found.ok_or_else(|| internal(&format!("there is no rule {name}")))
    }

    /// The bytes of a digest, from the store or from the user's files.
    pub(crate) fn bytes(&self, digest: &Digest) -> Option<Bytes> {
        self.session.store.get(digest).or_else(|| self.scan.read(digest))
    }

    /// Asks the team's cache for all of these that are not here, before one of them is waited for.
    pub(crate) fn announce(&self, specs: &[ActionSpec]) {
        if let Some(tier) = self.tier {
            let missing = specs.iter().filter(|s| self.session.done(&s.rule, &s.key()).is_none());
            for wanted in missing {
                tier.ask(self, wanted);
            }
        }
    }

    fn steps(&self, rule: &dyn BuildRule, spec: &ActionSpec, variant: &str, threads: usize) -> Result<Blobs, Failure> {
        let inputs = StoreInputs::new(self, &spec.inputs)?;
        let progress = Ticks { session: self.session, events: self.events, variant, stage: &spec.rule };
        let memo = Memo::with_tables(Box::new(StoredTables::new(&self.session.store, spec)));
        let memo = memo.with_shelf(self.shelf.clone());
        let ctx = Context { inputs: &inputs, params: &spec.params, progress: &progress, threads, memo: &memo };
        let mut results = Vec::new();
        for _ in 0..MAX_STEPS {
            // Not held while the actions that it needs run: they want permits of their own.
            let step = {
                let _permit = self.here.as_ref().map(Permits::one);
                // What a rule says of an input that is gone hides why it is gone.
                guarded(rule, &ctx, &results).map_err(|f| inputs.lost().map_or(f, |digest| lost(&digest)))?
            };
            match step {
                Step::Done(blobs) => return Ok(blobs),
                Step::Need(requests) => {
                    let specs: Vec<ActionSpec> =
                        requests.iter().map(|r| self.requested(r, &inputs.digests)).collect::<Result<_, _>>()?;
                    self.announce(&specs);
                    for spec in specs {
                        if self.session.cancelled() {
                            return Err(cancelled());
                        }
                        let tree = self.run(&spec, variant, &[], threads)?;
                        results.push(self.load(&tree)?);
                    }
                }
            }
        }
        Err(internal(&format!("rule {} asked for more than {MAX_STEPS} rounds of actions", spec.rule)))
    }

    /// The action that a step asks for; `own` are the asking action's inputs by name.
    pub(crate) fn requested(
        &self,
        request: &ActionRequest,
        own: &BTreeMap<String, Digest>,
    ) -> Result<ActionSpec, Failure> {
        let version = self.registry.iter().find(|r| r.name() == request.rule).map_or(0, |r| r.version());
        let mut inputs = Vec::new();
        for (name, from) in &request.inputs {
            match from {
                InputRef::Own(n) => {
                    let digest = own.get(n).ok_or_else(|| internal(&format!("{n} is no input to hand on")))?;
                    inputs.push(ActionInput::blob(name, *digest));
                }
                InputRef::OwnPrefix(prefix) => {
                    let below = own.range(prefix.clone()..).take_while(|(n, _)| n.starts_with(prefix.as_str()));
                    inputs.extend(below.map(|(n, d)| ActionInput::blob(n, *d)));
                }
                InputRef::Inline(bytes) => {
                    let digest = self.session.store.put(bytes).map_err(|e| internal(&e.to_string()))?;
                    inputs.push(ActionInput::blob(name, digest));
                }
            }
        }
        Ok(ActionSpec { rule: request.rule.to_owned(), version, params: request.params.clone(), inputs })
    }

    /// All blobs of a tree.
    pub(crate) fn load(&self, tree: &Digest) -> Result<Blobs, Failure> {
        let entries = self.session.store.tree(tree).ok_or_else(|| lost(tree))?;
        entries
            .into_iter()
            .map(|e| Ok((e.name, self.session.store.get(&e.digest).ok_or_else(|| lost(&e.digest))?)))
            .collect()
    }
}

/// A rule that panics fails its action, not the build; the message names the rule as ours to mend.
pub(crate) fn guarded(rule: &dyn BuildRule, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure> {
    let step = std::panic::AssertUnwindSafe(|| rule.step(ctx, results));
    std::panic::catch_unwind(step).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default();
        Err(Failure::from(Diagnostic::error("BUG", format!("rule {} failed inside: {text}", rule.name()))))
    })
}

pub(crate) fn cancelled() -> Failure {
    Failure::from(Diagnostic::error("ENGINE03", "ended, because an input has changed"))
}

pub(crate) fn internal(what: &str) -> Failure {
    Failure::from(Diagnostic::error("ENGINE01", what.to_owned()))
}

/// Code of failures that a second try with a fresh look at the store mends.
pub(crate) const LOST: &str = "ENGINE02";

pub(crate) fn lost(digest: &Digest) -> Failure {
    Failure::from(
        Diagnostic::error(LOST, format!("blob {} is no longer in the store", digest.short()))
            .hint("build again; what is missing is made anew"),
    )
}

/// Inputs of an action, read from the store or from the user's files when asked for.
struct StoreInputs<'a> {
    executor: &'a Executor<'a>,
    digests: BTreeMap<String, Digest>,
    /// The first input that was not there when it was read.
    lost: OnceLock<Digest>,
}

impl<'a> StoreInputs<'a> {
    fn new(executor: &'a Executor<'a>, inputs: &[ActionInput]) -> Result<StoreInputs<'a>, Failure> {
        let mut digests = BTreeMap::new();
        for input in inputs {
            match input.kind {
                InputKind::Blob => drop(digests.insert(input.name.clone(), input.digest)),
                InputKind::Tree => {
                    let entries = executor.session.store.tree(&input.digest).ok_or_else(|| lost(&input.digest))?;
                    digests.extend(entries.into_iter().map(|e| (e.name, e.digest)));
                }
            }
        }
        Ok(StoreInputs { executor, digests, lost: OnceLock::new() })
    }

    fn lost(&self) -> Option<Digest> {
        self.lost.get().copied()
    }
}

impl Inputs for StoreInputs<'_> {
    fn names(&self) -> Vec<String> {
        self.digests.keys().cloned().collect()
    }

    fn read(&self, name: &str) -> Option<Bytes> {
        let digest = self.digests.get(name)?;
        let bytes = self.executor.bytes(digest);
        if bytes.is_none() {
            let _ = self.lost.set(*digest);
        }
        bytes
    }

    fn digest(&self, name: &str) -> Option<String> {
        self.digests.get(name).map(Digest::hex)
    }
}

struct Ticks<'a> {
    session: &'a Session,
    events: &'a dyn EventSink,
    variant: &'a str,
    stage: &'a str,
}

impl Progress for Ticks<'_> {
    fn tick(&self, done: usize, total: usize) {
        let (variant, stage) = (self.variant.to_owned(), self.stage.to_owned());
        self.events.event(Event::Progress { variant, stage, done, total });
        if self.session.cancelled() {
            // Unwinds to `guarded`, without the panic hook.
            std::panic::resume_unwind(Box::new("cancelled"));
        }
    }
}

//! One build: waves of missing actions until every selected variant is done or failed.

use crate::action::ActionSpec;
use crate::error::EngineError;
use crate::events::Event;
use crate::executor::Executor;
use crate::manifest::STAGE_PREFIX;
use crate::queries::{self, ActionState, BuildDb, ManifestInput, StageState, VariantName};
use crate::queue::Queue;
use crate::recipe::Recipe;
use ptq_cache::Digest;
use ptq_ir::Diagnostic;
use ptq_rule::Failure;
use salsa::Setter as _;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Name of a variant's stage; `stage:NAME` for one of the manifest.
pub type StageName = Cow<'static, str>;

/// Stages of a variant and the queries behind them.
pub(crate) const STAGES: [&str; 6] = ["parse", "fuse", "calibrate", "partition", "compile", "measure"];

/// Ends a build from outside: work that runs is left, what is finished stays.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends the builds that have it.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether builds that have it end.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How to build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Selectors: a name, a pattern with `*`, or `key=value`; empty selects all.
    pub selectors: Vec<String>,
    /// Find out what would run, and stop.
    pub dry_run: bool,
    /// Rules whose remembered results do not count.
    pub force: BTreeSet<String>,
    /// Actions at a time.
    pub jobs: usize,
    /// Go on with other variants after a failure.
    pub keep_going: bool,
    /// Leave the team's cache alone.
    pub no_remote: bool,
    /// Run actions on the workers of the manifest's server; also by `[remote] execute`.
    pub remote_exec: bool,
    /// Who may end the build.
    pub cancel: Cancel,
}

impl Default for BuildOptions {
    fn default() -> BuildOptions {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        BuildOptions {
            selectors: Vec::new(),
            dry_run: false,
            force: BTreeSet::new(),
            jobs,
            keep_going: false,
            no_remote: false,
            remote_exec: false,
            cancel: Cancel::default(),
        }
    }
}

/// How a stage of a variant ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its rule ran in this build.
    Ran,
    /// Its result was remembered.
    Hit,
    /// Its result came from the team's cache.
    Fetched,
    /// It would run (dry run), or could not start.
    Pending,
    /// It failed.
    Failed(Vec<Diagnostic>),
}

/// What became of one variant.
#[derive(Clone, Debug)]
pub struct VariantReport {
    /// Name.
    pub name: String,
    /// March.
    pub march: String,
    /// Optimization level.
    pub optimize_level: String,
    /// Stages in order.
    pub stages: Vec<(StageName, Outcome)>,
    /// Least cosine similarity of the outputs, when measured.
    pub min_cosine: Option<f64>,
    /// Size of `model.bin`, when made.
    pub bin_bytes: Option<u64>,
    /// Time on the accelerator by the timed simulator, microseconds, when the march has one.
    pub latency_us: Option<f64>,
    /// Digest of what all stages made; none where the variant was left as it is.
    pub made: Option<Digest>,
    /// The node table and the output table, when they were measured in this build.
    pub tables: Option<String>,
    /// Problems outside stages: files that are not there, a gate that failed.
    pub problems: Vec<Diagnostic>,
    /// What stages warned of, in this build or when they ran, as (stage, message).
    pub warnings: Vec<(String, String)>,
}

impl VariantReport {
    /// Whether everything was made.
    pub fn is_done(&self) -> bool {
        self.problems.is_empty()
            && self.stages.iter().all(|(_, o)| matches!(o, Outcome::Ran | Outcome::Hit | Outcome::Fetched))
    }

    /// Every error of the variant.
    pub fn errors(&self) -> Vec<&Diagnostic> {
        let failed = self.stages.iter().flat_map(|(_, o)| match o {
            Outcome::Failed(list) => list.as_slice(),
            _ => &[],
        });
        failed.chain(&self.problems).collect()
    }
}

/// An action that ran, or would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Variant on whose behalf; others may share the result.
    pub variant: String,
    /// Rule.
    pub stage: String,
    /// Why its result was not there.
    pub why: Vec<String>,
}

/// What became of a build.
#[derive(Clone, Debug, Default)]
pub struct BuildReport {
    /// Selected variants by name.
    pub variants: Vec<VariantReport>,
    /// Actions that ran, or would run in a dry run.
    pub work: Vec<Work>,
    /// Whether the stamp alone showed that nothing changed.
    pub up_to_date: bool,
    /// What happened with the team's cache, by name of the count; empty where it was not asked.
    pub remote: BTreeMap<&'static str, u64>,
    /// Whether it stopped because an input changed meanwhile, or because somebody ended it.
    pub cancelled: bool,
}

/// One stage of one variant after the waves.
pub(crate) struct Finished {
    pub(crate) name: StageName,
    pub(crate) state: StageState,
    pub(crate) ran: bool,
}

/// Drives the queries and the executor.
pub(crate) struct Driver<'a> {
    pub(crate) db: BuildDb,
    pub(crate) manifest: ManifestInput,
    pub(crate) executor: Executor<'a>,
    pub(crate) options: &'a BuildOptions,
    pub(crate) recipes: BTreeMap<String, Recipe>,
}

/// A missing action: its first variant, and why it is missing.
pub(crate) struct Missing {
    pub(crate) spec: ActionSpec,
    pub(crate) variant: String,
    why: Vec<String>,
}

impl Missing {
    fn work(&self) -> Work {
        Work { variant: self.variant.clone(), stage: self.spec.rule.clone(), why: self.why.clone() }
    }
}

impl Driver<'_> {
    /// All stages of a variant as the queries see them now.
    pub(crate) fn stages(&self, name: &str) -> Vec<(StageName, StageState)> {
        let (db, m) = (&self.db, self.manifest);
        let v = VariantName::new(db, name.to_owned());
        let states = [
            queries::parse(db, m, v),
            queries::fuse(db, m, v),
            queries::calibrate(db, m, v),
            queries::partition(db, m, v),
            queries::compile(db, m, v),
            queries::measure(db, m, v),
        ];
        let own = self.executor.scan.stages_of(name).map(|stage| {
            let state = queries::external(db, VariantName::new(db, stage.to_owned()));
            (Cow::Owned(format!("{STAGE_PREFIX}{stage}")), state.clone())
        });
        own.chain(STAGES.into_iter().map(Cow::Borrowed).zip(states.into_iter().cloned())).collect()
    }

    /// Runs waves until nothing more can run; returns what ran (or would run).
    pub(crate) fn waves(&mut self, names: &[String]) -> Result<Vec<Work>, EngineError> {
        let mut work = Vec::new();
        let mut ran: BTreeSet<Digest> = BTreeSet::new();
        for wave in 1.. {
            queries::Wave::get(&self.db).set_number(&mut self.db).to(wave);
            let missing: Vec<Missing> =
                self.frontier(names).into_iter().filter(|(key, _)| !ran.contains(key)).map(|(_, m)| m).collect();
            if missing.is_empty() {
                break;
            }
            if self.options.dry_run {
                work.extend(missing.iter().map(Missing::work));
                break;
            }
            let mut actions: BTreeMap<String, usize> = BTreeMap::new();
            missing.iter().for_each(|m| *actions.entry(m.spec.rule.clone()).or_default() += 1);
            self.executor.events.event(Event::Wave { variants: names.len(), actions });
            ran.extend(missing.iter().map(|m| m.spec.key()));
            let failed = self.execute(&missing);
            let session = self.executor.session;
            // What the team's cache or another build beside us has made is no work of this one.
            let given = |m: &&Missing| session.fetched(&m.spec.key()).is_some() || session.was_found(&m.spec.key());
            work.extend(missing.iter().filter(|m| !given(m)).map(Missing::work));
            if self.executor.session.cancelled() {
                break;
            }
            if failed && !self.options.keep_going {
                break;
            }
        }
        Ok(work)
    }

    /// Missing actions whose inputs are there, by key; an action that several variants want is listed once.
    pub(crate) fn frontier(&self, names: &[String]) -> BTreeMap<Digest, Missing> {
        let mut out = BTreeMap::new();
        for name in names {
            for (stage, state) in self.stages(name) {
                if let StageState::Ready { spec, state: ActionState::Missing } = state {
                    let why =
                        self.recipes.get(name).map(|r| r.differences(&stage, &spec, &self.executor.session.store));
                    let why = why.unwrap_or_default();
                    out.entry(spec.key()).or_insert_with(|| Missing {
                        spec: spec.as_ref().clone(),
                        variant: name.clone(),
                        why,
                    });
                }
            }
        }
        out
    }

    /// Runs actions on `jobs` threads; threads that are left over serve inside actions. Returns whether one failed.
    fn execute(&self, missing: &[Missing]) -> bool {
        let jobs = self.options.jobs.max(1);
        let workers = self.executor.at_once(jobs).min(missing.len());
        let threads = (jobs / workers.max(1)).max(1);
        let threads: BTreeMap<Digest, usize> =
            missing.iter().map(|item| (item.spec.key(), self.threads(item, threads))).collect();
        let queue = Queue::new(&self.executor, missing);
        let failed = AtomicBool::new(false);
        // The database is not shared between threads; workers see the executor only.
        let (executor, keep_going) = (&self.executor, self.options.keep_going);
        let work = || {
            while let Some(item) = queue.next() {
                let threads = threads.get(&item.spec.key()).copied().unwrap_or(1);
                if (failed.load(Ordering::Relaxed) && !keep_going) || executor.session.cancelled() {
                    return;
                }
                if let Err(failure) = executor.run(&item.spec, &item.variant, &item.why, threads) {
                    // A cancelled action failed because we ended it: nothing is known of it.
                    if executor.session.cancelled() {
                        return;
                    }
                    failed.store(true, Ordering::Relaxed);
                    note_failure(executor, item, failure);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        failed.load(Ordering::Relaxed)
    }

    /// Threads inside an action: those that are left over, of compile at most as many as its variant allows.
    fn threads(&self, item: &Missing, left: usize) -> usize {
        let variant = VariantName::new(&self.db, item.variant.clone());
        let config = queries::variant(&self.db, self.manifest, variant);
        let most = config.as_ref().filter(|_| item.spec.rule == "compile").and_then(|c| c.compile.jobs);
        most.map_or(left, |most| left.min(most.max(1)))
    }
}

fn note_failure(executor: &Executor<'_>, item: &Missing, failure: Failure) {
    let problems = failure.diagnostics.iter().map(ToString::to_string).collect();
    executor.session.fail(item.spec.key(), failure);
    let (variant, stage) = (item.variant.clone(), item.spec.rule.clone());
    executor.events.event(Event::Failed { variant, stage, problems });
}

//! A build from the front door to the report: what is untouched is passed over, the rest goes through the queries.

use crate::action::RULES_SOURCES;
use crate::artifacts;
use crate::build::{BuildOptions, BuildReport, Driver, Outcome, STAGES, StageName, VariantReport};
use crate::custom::Cancelled;
use crate::error::EngineError;
use crate::events::{Event, EventSink};
use crate::executor::{Executor, LOST};
use crate::fingerprint;
use crate::finish::warn;
use crate::manifest::{CUSTOM_PREFIX, Overlay, STAGE_PREFIX, Variant};
use crate::project::Project;
use crate::queries::{BuildDb, FileInput, ManifestInput, SampleInput, Sources, Wave};
use crate::recipe::Recipe;
use crate::registry::Registry;
use crate::session::Session;
use crate::sources::{Scan, scan};
use crate::stamp::{self, Stamps, VariantStamp};
use crate::tools::Answer;
use crate::watch::Watch;
use ptq_cache::Digest;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// What one pass over the selected variants gave.
pub(crate) struct Attempt {
    pub(crate) report: BuildReport,
    /// Files and folders that were looked at.
    sources: Vec<PathBuf>,
    /// What tools said.
    answers: Vec<Answer>,
    /// Variants that were finished.
    stamps: BTreeMap<String, VariantStamp>,
}

/// A warning: variant, stage, message.
pub type Told = (String, String, String);

/// What stages warned of, as (variant, stage, message), where the last build of this selection left everything as it is, by
/// stamps alone: neither manifest nor store are opened. None also when anything is in doubt.
pub fn up_to_date(manifest: &Path, overlay: &Overlay, registry: Registry, selectors: &[String]) -> Option<Vec<Told>> {
    let text = std::fs::read_to_string(manifest).ok()?;
    let table = toml::de::DeTable::parse(&text).ok()?;
    let dir = table.get_ref().get("cache").and_then(|c| c.get_ref().get("dir"));
    let dir = dir.and_then(|d| d.get_ref().as_str()).unwrap_or(crate::manifest::CACHE_DIR);
    let defined = overlay.define.iter().rev().find(|(key, _)| key == "cache.dir");
    let dir = defined.map_or(dir, |(_, dir)| dir.trim_matches('"'));
    let store = overlay.store.clone().unwrap_or_else(|| crate::project::folder(manifest).join(dir));
    let overlay = crate::project::completed(overlay, &text, crate::project::folder(manifest));
    let (stamps, request) = (Stamps::load(&store), stamp::request(&text, &overlay, selectors, &program(registry)));
    stamps.hold(request).then(|| stamps.told(request))
}

/// The program that would make things: everything of it that decides bytes.
fn program(registry: Registry) -> String {
    let rules: Vec<(&str, u32)> = registry.iter().map(|r| (r.name(), r.version())).collect();
    format!("{:?}", (env!("CARGO_PKG_VERSION"), ptq_rule::SEMANTICS, RULES_SOURCES, artifacts::VERSION, rules))
}

impl Project {
    pub(crate) fn build_with(
        &self,
        options: &BuildOptions,
        watch: Option<&Arc<Watch>>,
        events: &dyn EventSink,
    ) -> Result<BuildReport, EngineError> {
        let names = self.select(&options.selectors)?;
        let stamps = Stamps::load(self.store.root());
        let request = stamp::request(&self.text, &self.overlay, &options.selectors, &program(self.registry));
        if watch.is_none() && options.force.is_empty() && stamps.hold(request) {
            for (variant, stage, message) in stamps.told(request) {
                events.event(Event::Warning { variant, stage, message });
            }
            return Ok(BuildReport { up_to_date: true, ..BuildReport::default() });
        }
        let corrupt = self.store.corrupt();
        let mut start = SystemTime::now();
        let mut done = self.attempt(options, &names, Some(&stamps), watch, events)?;
        let lost = done.report.variants.iter().flat_map(VariantReport::errors).any(|d| d.code == LOST);
        // Blobs vanished or rotted behind remembered results: find them all, then make what is missing, once.
        if lost || self.store.corrupt() > corrupt {
            self.store.sweep();
            start = SystemTime::now();
            done = self.attempt(options, &names, Some(&stamps), watch, events)?;
        }
        if !options.dry_run && !done.report.cancelled {
            let complete = done.report.variants.iter().all(VariantReport::is_done);
            let changed = !done.stamps.is_empty();
            let mut record = Stamps::own(stamps);
            record.add(done.stamps);
            if complete {
                record.complete(request, self.out(), &done.sources, done.answers, &names, self.began.min(start));
            }
            if changed || complete {
                record.save(self.store.root());
            }
        }
        Ok(done.report)
    }

    /// One pass. With `stamps`, variants that are as their last build left them are passed over.
    pub(crate) fn attempt(
        &self,
        options: &BuildOptions,
        names: &[String],
        stamps: Option<&Stamps>,
        watch: Option<&Arc<Watch>>,
        events: &dyn EventSink,
    ) -> Result<Attempt, EngineError> {
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let mut sources = scan.seen.clone();
        sources.extend(self.manifest_files());
        if let Some(watch) = watch {
            watch.looked_at(&sources, Some(self.read(&scan)));
        }
        let fingerprints = self.fingerprints(&scan, names);
        let (out, mut untouched) = (self.out(), BTreeMap::new());
        if let Some(stamps) = stamps.filter(|_| options.force.is_empty()) {
            untouched = stamps.untouched(&fingerprints, &out);
        }
        let rest: Vec<String> = names.iter().filter(|n| !untouched.contains_key(*n)).cloned().collect();
        let session = Session::new(self.store.clone(), options.force.clone()).watched(watch);
        let session = Arc::new(session.cancelled_by(&options.cancel));
        #[cfg(feature = "remote")]
        let cluster = self.cluster(options)?;
        #[cfg(not(feature = "remote"))]
        if !options.dry_run && (options.remote_exec || self.manifest.execution.execute) {
            let what = "this ptq was built without the feature `remote`, so it cannot run actions elsewhere";
            return Err(EngineError::Manifest(vec![ptq_ir::Diagnostic::error("MANIFEST18", what)]));
        }
        let mut driver = self.driver(&session, &scan, options, &rest, events);
        let tier = if rest.is_empty() || options.dry_run || options.no_remote { None } else { self.tier(events) };
        driver.executor.tier = tier;
        #[cfg(feature = "remote")]
        if let Some(cluster) = &cluster {
            driver.executor.run_on(cluster, options.jobs);
        }
        let work = driver.waves(&rest)?;
        let ran: BTreeSet<(&str, &str)> = work.iter().map(|w| (w.variant.as_str(), w.stage.as_str())).collect();
        let cancelled = session.cancelled();
        let mut variants = Vec::new();
        let mut finished = BTreeMap::new();
        for name in names.iter().filter(|_| !cancelled) {
            if let Some(stamp) = untouched.get(name) {
                let report = self.manifest.variants.get(name).map(|v| untouched_report(v, &scan, stamp, events));
                // Under watch every edit is a build, and what was told of other variants still stands above.
                report.iter().filter(|_| watch.is_none()).for_each(|report| warn(report, events));
                variants.extend(report);
                continue;
            }
            let mut files = Vec::new();
            let report = self.variant_report(&driver, &scan, name, options, &ran, &mut files)?;
            let figures = (report.min_cosine, report.bin_bytes, report.latency_us);
            let print = fingerprints.get(name).filter(|_| report.is_done() && !files.is_empty());
            let stamp = print.and_then(|print| VariantStamp::of(*print, figures, &report.warnings, &files));
            finished.extend(stamp.map(|s| (name.clone(), s)));
            variants.push(report);
        }
        let remote = tier.map(|tier| tier.finish(&driver.executor)).unwrap_or_default();
        self.store.flush()?;
        let report = BuildReport { variants, work, cancelled, up_to_date: false, remote };
        let answers = scan.answers.into_values().collect();
        Ok(Attempt { report, sources, answers, stamps: finished })
    }

    /// What a build would look at, and the digest of what it would read.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub(crate) fn sources(&self) -> Result<(Vec<PathBuf>, Digest), EngineError> {
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let read = self.read(&scan);
        let mut sources = scan.seen;
        sources.extend(self.manifest_files());
        Ok((sources, read))
    }

    /// Digest of the manifest and of everything that a scan found.
    fn read(&self, scan: &Scan) -> Digest {
        let plans: Vec<(&String, Digest)> = scan.stages.iter().map(|(name, plan)| (name, plan.digest())).collect();
        let customs: Vec<(&String, Digest)> = scan.customs.iter().map(|(name, (_, p))| (name, p.digest())).collect();
        let problems: Vec<(&String, String)> = scan.problems.iter().map(|(key, d)| (key, d.to_string())).collect();
        // The texts as they were read, not as the files are by now.
        let manifest = (&self.text, &self.overlay);
        let all = (manifest, &scan.files, &scan.samples, &scan.external, plans, customs, problems);
        Digest::of(format!("{all:?}").as_bytes())
    }

    /// Digest of everything that each variant is made from: its settings, the bytes of all that the scan looked at for
    /// it, the program. Variants whose sources are not all there have none.
    fn fingerprints(&self, scan: &Scan, names: &[String]) -> BTreeMap<String, Digest> {
        let shared = format!("{:?}", (program(self.registry), self.out()));
        let mut out = BTreeMap::new();
        for variant in names.iter().filter_map(|n| self.manifest.variants.get(n)) {
            let Some(looked) = scan.of_variant.get(&variant.name) else { continue };
            let external = looked.iter().filter_map(|key| scan.external.get(key)).flatten().map(|(_, path)| path);
            let digest = |key: &String| match (scan.files.get(key), scan.samples.get(key)) {
                (Some(file), _) => file.map(|d| (key.clone(), d, d)),
                _ if key.starts_with(STAGE_PREFIX) => {
                    let plan = scan.stages.get(key.trim_start_matches(STAGE_PREFIX))?;
                    Some((key.clone(), plan.digest(), plan.digest()))
                }
                _ if key.starts_with(CUSTOM_PREFIX) => {
                    let (config, plan) = scan.customs.get(key.trim_start_matches(CUSTOM_PREFIX))?;
                    let declared = Digest::of(format!("{:?}", config.declared(String::new())).as_bytes());
                    Some((key.clone(), plan.digest(), declared))
                }
                (_, Some(samples)) => samples.map(|(all, first)| (key.clone(), all, first)),
                _ => None,
            };
            if let Some(sources) = looked.iter().chain(external).map(digest).collect::<Option<Vec<_>>>() {
                let mut all = fingerprint::Bytes::default();
                variant.settings.0.iter().for_each(|(path, setting)| all.setting(path, &setting.value));
                for (key, whole, part) in sources {
                    all.text(&key).bytes(&whole.0).bytes(&part.0);
                }
                all.text(&variant.name).text(&variant.model).text(&shared);
                if !variant.rewrites.is_empty() {
                    all.text(&format!("{:?}", variant.rewrites));
                }
                out.insert(variant.name.clone(), all.digest());
            }
        }
        out
    }

    pub(crate) fn driver<'a>(
        &self,
        session: &'a Arc<Session>,
        scan: &'a Scan,
        options: &'a BuildOptions,
        names: &[String],
        events: &'a dyn EventSink,
    ) -> Driver<'a> {
        let ended = session.clone();
        scan.provide(&self.store, &(Arc::new(move || ended.cancelled()) as Cancelled));
        let db = BuildDb::new(session.clone());
        let file = self.manifest_name();
        let manifest = ManifestInput::new(&db, self.manifest.clone());
        Wave::new(&db, 0);
        let files = scan.files.iter().map(|(path, digest)| (path.clone(), FileInput::new(&db, *digest))).collect();
        let samples = scan
            .samples
            .iter()
            .map(|(key, trees)| (key.clone(), SampleInput::new(&db, trees.map(|t| t.0), trees.map(|t| t.1))))
            .collect();
        Sources::new(&db, files, samples, scan.external.clone(), scan.stages.clone(), scan.programs());
        let known = names.iter().filter_map(|n| self.manifest.variants.get(n));
        let recipes = known.map(|v| (v.name.clone(), Recipe::load(&self.store, &self.manifest, v, &file))).collect();
        Driver { db, manifest, executor: Executor::new(self.registry, session, scan, events), options, recipes }
    }
}

/// The report of a variant that is as its last build left it.
fn untouched_report(variant: &Variant, scan: &Scan, stamp: &VariantStamp, events: &dyn EventSink) -> VariantReport {
    let own = scan.stages_of(&variant.name).map(|stage| Cow::Owned(format!("{STAGE_PREFIX}{stage}")));
    let stages: Vec<StageName> = own.chain(STAGES.into_iter().map(Cow::Borrowed)).collect();
    for stage in &stages {
        let (variant, stage) = (variant.name.clone(), stage.to_string());
        events.event(Event::Hit { variant, stage, tier: "memo" });
    }
    let text = |key: &str, default: &str| {
        variant.settings.get(key).and_then(|s| s.value.as_str()).unwrap_or(default).to_owned()
    };
    VariantReport {
        name: variant.name.clone(),
        march: text("march", "cpu"),
        optimize_level: text("optimize_level", "O0"),
        stages: stages.into_iter().map(|s| (s, Outcome::Hit)).collect(),
        min_cosine: stamp.min_cosine,
        bin_bytes: stamp.bin_bytes,
        latency_us: stamp.latency_us,
        tables: None,
        made: None,
        problems: Vec::new(),
        warnings: stamp.warnings.clone(),
    }
}

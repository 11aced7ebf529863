//! A project: one manifest, its store and its output folder. The engine's front door.

use crate::artifacts::{self, Stages};
use crate::build::{BuildOptions, BuildReport, Driver, Finished, Outcome, VariantReport};
use crate::error::EngineError;
use crate::events::{Event, EventSink};
use crate::executor::{Executor, LOST};
use crate::manifest::{Manifest, Variant, VariantConfig};
use crate::queries::{ActionState, BuildDb, FileInput, ManifestText, SampleInput, Sources, StageState, Wave};
use crate::recipe::{Recipe, note_name};
use crate::registry::Registry;
use crate::session::Session;
use crate::sources::{Scan, march_key, sample_key, scan};
use crate::stamp::Stamp;
use crate::{materialize, registry};
use ptq_cache::{Digest, Store};
use ptq_ir::{Diagnostic, Graph, QGraph, QuantTable};
use ptq_rule::{Blobs, Failure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An opened project.
pub struct Project {
    root: PathBuf,
    manifest_path: PathBuf,
    text: String,
    overrides: Vec<(String, String)>,
    manifest: Manifest,
    store: Arc<Store>,
    registry: Registry,
}

/// A variant's stage results, decoded.
pub struct Loaded {
    /// What parse made.
    pub original: Graph,
    /// What fuse made.
    pub optimized: Graph,
    /// What calibrate made.
    pub quant: QuantTable,
    /// What partition made.
    pub integer: QGraph,
    /// What compile made.
    pub bin: bytes::Bytes,
    /// The variant's settings.
    pub config: VariantConfig,
}

impl Project {
    /// Opens the project of this manifest.
    ///
    /// # Errors
    /// When the manifest cannot be read or is wrong, or the store does not open.
    pub fn open(manifest: &Path, overrides: &[(String, String)]) -> Result<Project, EngineError> {
        Project::open_with(manifest, overrides, registry::rules())
    }

    /// Opens the project with other rules, for tests of the engine itself.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn open_with(path: &Path, overrides: &[(String, String)], registry: Registry) -> Result<Project, EngineError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| EngineError::Read { path: path.to_owned(), source })?;
        let shown = path.file_name().map_or_else(|| "ptq.toml".into(), |n| n.to_string_lossy().into_owned());
        let manifest = Manifest::parse(&text, &shown, overrides).map_err(EngineError::Manifest)?;
        let root = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let store = Arc::new(Store::open(&root.join(&manifest.cache_dir))?);
        Ok(Project {
            root,
            manifest_path: path.to_owned(),
            text,
            overrides: overrides.to_vec(),
            manifest,
            store,
            registry,
        })
    }

    /// The expanded manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The output folder.
    pub fn out(&self) -> PathBuf {
        self.root.join(&self.manifest.out)
    }

    /// Names of the variants that the selectors choose: a name, a pattern with `*`, or `key=value`; none chooses all.
    ///
    /// # Errors
    /// A selector that chooses nothing.
    pub fn select(&self, selectors: &[String]) -> Result<Vec<String>, EngineError> {
        let mut chosen: BTreeSet<String> = BTreeSet::new();
        let mut problems = Vec::new();
        for selector in selectors {
            let matching = self.manifest.variants.values().filter(|v| selects(selector, v)).map(|v| v.name.clone());
            let found: Vec<String> = matching.collect();
            if found.is_empty() {
                let names: Vec<&str> = self.manifest.variants.keys().take(12).map(String::as_str).collect();
                problems.push(
                    Diagnostic::error("SELECT01", format!("{selector:?} selects no variant"))
                        .hint(format!("variants: {}", names.join(", "))),
                );
            }
            chosen.extend(found);
        }
        if !problems.is_empty() {
            return Err(EngineError::Manifest(problems));
        }
        Ok(if selectors.is_empty() {
            self.manifest.variants.keys().cloned().collect()
        } else {
            chosen.into_iter().collect()
        })
    }

    /// Builds the selected variants.
    ///
    /// # Errors
    /// When nothing can be built at all; failures of single variants are in the report.
    pub fn build(&self, options: &BuildOptions, events: &dyn EventSink) -> Result<BuildReport, EngineError> {
        let names = self.select(&options.selectors)?;
        let request = self.request(&names);
        if options.force.is_empty() && Stamp::holds(&self.store, request) {
            return Ok(BuildReport { up_to_date: true, ..BuildReport::default() });
        }
        let first = self.attempt(options, &names, events)?;
        let lost = first.0.variants.iter().flat_map(VariantReport::errors).any(|d| d.code == LOST);
        // A blob that vanished or rotted behind a remembered result: the store has forgotten it by now, so once more.
        let (report, seen) = if lost { self.attempt(options, &names, events)? } else { first };
        if !options.dry_run && report.variants.iter().all(VariantReport::is_done) {
            Stamp::of(request, &seen).save(&self.store);
            self.store.flush()?;
        }
        Ok(report)
    }

    fn request(&self, names: &[String]) -> Digest {
        let rules: Vec<(&str, u32)> = self.registry.iter().map(|r| (r.name(), r.version())).collect();
        Digest::of(format!("{:?}", (&self.text, &self.overrides, names, rules, ptq_rule::SEMANTICS)).as_bytes())
    }

    fn attempt(
        &self,
        options: &BuildOptions,
        names: &[String],
        events: &dyn EventSink,
    ) -> Result<(BuildReport, Vec<PathBuf>), EngineError> {
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), options.force.clone()));
        let mut driver = self.driver(&session, &scan, options, names, events);
        let work = driver.waves(names)?;
        let mut seen = scan.seen.clone();
        seen.push(self.manifest_path.clone());
        let mut report = BuildReport { work, ..BuildReport::default() };
        for name in names {
            let variant = self.variant_report(&driver, &scan, name, options, &report.work, &mut seen)?;
            report.variants.push(variant);
        }
        self.store.flush()?;
        Ok((report, seen))
    }

    fn driver<'a>(
        &self,
        session: &'a Arc<Session>,
        scan: &'a Scan,
        options: &'a BuildOptions,
        names: &[String],
        events: &'a dyn EventSink,
    ) -> Driver<'a> {
        let db = BuildDb::new(session.clone());
        let file = self.manifest_path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let text = ManifestText::new(&db, self.text.clone(), file.clone(), self.overrides.clone());
        Wave::new(&db, 0);
        let files = scan.files.iter().map(|(path, digest)| (path.clone(), FileInput::new(&db, *digest))).collect();
        let samples = scan
            .samples
            .iter()
            .map(|(key, trees)| (key.clone(), SampleInput::new(&db, trees.map(|t| t.0), trees.map(|t| t.1))))
            .collect();
        Sources::new(&db, files, samples);
        let recipes = names
            .iter()
            .filter_map(|n| self.manifest.variants.get(n))
            .map(|v| {
                let mut recipe = Recipe::load(&self.store, v, &file);
                for (all, first) in scan.samples.values().flatten() {
                    for tree in [all, first] {
                        let entries = self.store.tree(tree).unwrap_or_default();
                        recipe
                            .trees
                            .insert(tree.hex(), entries.into_iter().map(|e| (e.name, e.digest.short())).collect());
                    }
                }
                (v.name.clone(), recipe)
            })
            .collect();
        Driver { db, text, executor: Executor::new(self.registry, session, scan, events), options, recipes }
    }

    fn variant_report(
        &self,
        driver: &Driver<'_>,
        scan: &Scan,
        name: &str,
        options: &BuildOptions,
        work: &[(String, String)],
        seen: &mut Vec<PathBuf>,
    ) -> Result<VariantReport, EngineError> {
        let variant = self.manifest.variants.get(name).cloned().unwrap_or_default();
        let config = VariantConfig::of(&variant).map_err(EngineError::Manifest)?;
        let finished: Vec<Finished> = driver
            .stages(name)
            .into_iter()
            .map(|(stage, state)| Finished {
                name: stage,
                ran: work.iter().any(|(v, s)| v == name && s == stage),
                state,
            })
            .collect();
        let mut report = VariantReport {
            name: name.to_owned(),
            march: config.march.clone(),
            optimize_level: config.optimize_level.clone(),
            stages: finished.iter().map(|f| (f.name, self.outcome(driver, &config, f))).collect(),
            min_cosine: None,
            bin_bytes: None,
            tables: None,
            problems: self.source_problems(scan, &variant, &config),
        };
        self.hits(driver, &report);
        if !options.dry_run && report.is_done() {
            self.finish(driver, &variant, &config, &finished, &mut report, seen)?;
        }
        Ok(report)
    }

    fn outcome(&self, driver: &Driver<'_>, config: &VariantConfig, stage: &Finished) -> Outcome {
        let StageState::Ready { spec, state } = &stage.state else { return Outcome::Pending };
        // A failure of the last wave is not a query's state yet.
        if let Some(failure) = driver.executor.session.failure(&spec.key()) {
            let named = |mut d: Diagnostic| {
                if stage.name == "parse" {
                    d.place.file.get_or_insert_with(|| config.path.clone());
                }
                d
            };
            return Outcome::Failed(failure.diagnostics.into_iter().map(named).collect());
        }
        match state {
            ActionState::Done(_) if stage.ran => Outcome::Ran,
            ActionState::Done(_) => Outcome::Hit,
            _ => Outcome::Pending,
        }
    }

    fn hits(&self, driver: &Driver<'_>, report: &VariantReport) {
        for (stage, outcome) in &report.stages {
            if *outcome == Outcome::Hit {
                let (variant, stage) = (report.name.clone(), (*stage).to_owned());
                driver.executor.events.event(Event::Hit { variant, stage, tier: "local" });
            }
        }
    }

    fn source_problems(&self, scan: &Scan, variant: &Variant, config: &VariantConfig) -> Vec<Diagnostic> {
        let file = self.manifest_path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let keys = [
            ("path", Some(config.path.clone())),
            ("march", Some(march_key(&config.march))),
            ("calibration.data", sample_key(&config.data)),
        ];
        keys.into_iter()
            .filter_map(|(setting, key)| {
                let mut d = scan.problems.get(&key?)?.clone();
                d.place.file = Some(file.clone());
                d.place.line = variant.settings.get(setting).and_then(|s| s.line);
                Some(d)
            })
            .collect()
    }

    /// Writes a finished variant's files, checks its gate, and keeps its recipe.
    fn finish(
        &self,
        driver: &Driver<'_>,
        variant: &Variant,
        config: &VariantConfig,
        finished: &[Finished],
        report: &mut VariantReport,
        seen: &mut Vec<PathBuf>,
    ) -> Result<(), EngineError> {
        let session = driver.executor.session;
        let stages = stages_of(variant, config, finished);
        match materialize::variant(session, &stages, &self.out())? {
            Ok(paths) => seen.extend(paths),
            Err(failure) => {
                report.problems.extend(failure.diagnostics);
                return Ok(());
            }
        }
        let measured = artifacts::tree(session, &stages, "measure").and_then(|b| artifacts::measure(&b));
        let compiled = artifacts::tree(session, &stages, "compile");
        report.bin_bytes = compiled.as_ref().ok().and_then(|b| b.get("model.bin")).map(|b| b.len() as u64);
        for stage in ["parse", "partition", "compile"] {
            if finished.iter().any(|f| f.name == stage && f.ran) {
                self.warnings(driver, variant, stage, artifacts::tree(session, &stages, stage));
            }
        }
        if let Ok(measure) = measured {
            if finished.iter().any(|f| f.name == "measure" && f.ran) {
                report.tables =
                    Some(format!("{}\n{}", ptq_report::node_table(&measure), ptq_report::output_table(&measure)));
            }
            report.min_cosine = measure.outputs.iter().map(|o| o.cosine.0).reduce(f64::min);
        }
        if let (Some(least), Some(got)) = (config.min_cosine, report.min_cosine)
            && (got.is_nan() || got < least)
        {
            let line = variant.settings.get("gate.min_cosine").and_then(|s| s.line);
            let mut d =
                Diagnostic::error("GATE01", format!("cosine similarity {got:.6} is below gate.min_cosine {least}"))
                    .hint("report.md lists the similarity of each node");
            d.place.line = line;
            d.place.file = line.map(|_| "ptq.toml".to_owned());
            report.problems.push(d);
        }
        self.keep_recipe(driver, variant, finished);
        Ok(())
    }

    fn warnings(&self, driver: &Driver<'_>, variant: &Variant, stage: &str, blobs: Result<Blobs, Failure>) {
        let list: Vec<Diagnostic> =
            blobs.ok().and_then(|b| serde_json::from_slice(b.get("warnings.json")?).ok()).unwrap_or_default();
        for d in list {
            let (variant, stage) = (variant.name.clone(), stage.to_owned());
            driver.executor.events.event(Event::Warning { variant, stage, message: d.to_string() });
        }
    }

    fn keep_recipe(&self, driver: &Driver<'_>, variant: &Variant, finished: &[Finished]) {
        let Some(old) = driver.recipes.get(&variant.name) else { return };
        let mut recipe = Recipe { stages: old.stages.clone(), ..Recipe::default() };
        for f in finished {
            let StageState::Ready { spec, .. } = &f.state else { continue };
            let key = spec.key().hex();
            if !f.ran && old.stages.get(f.name).is_some_and(|s| s.key == key) {
                continue;
            }
            let mut record = Recipe::record(spec, &self.store);
            record.outcome = if f.ran { "ran".into() } else { "hit".into() };
            record.why = old.differences(f.name, spec);
            recipe.stages.insert(f.name.to_owned(), record);
        }
        if recipe.stages != old.stages
            && let Ok(bytes) = serde_json::to_vec(&recipe)
        {
            self.store.set_note(&note_name(&variant.name), bytes);
        }
    }

    /// The recipe of a variant's last success.
    pub fn recipe(&self, variant: &str) -> Option<Recipe> {
        let file = self.manifest_path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let recipe = Recipe::load(&self.store, self.manifest.variants.get(variant)?, &file);
        (!recipe.stages.is_empty()).then_some(recipe)
    }

    /// File name and bytes of a variant's first calibration sample for an input; `only` says that the model has no
    /// other input.
    pub fn first_sample(&self, variant: &str, input: &str, only: bool) -> Option<(String, bytes::Bytes)> {
        let config = VariantConfig::of(self.manifest.variants.get(variant)?).ok()?;
        let scan = scan(&self.root, &self.manifest, &self.store).ok()?;
        let (_, first) = (*scan.samples.get(&sample_key(&config.data)?)?)?;
        let entries = self.store.tree(&first)?;
        entries.into_iter().find_map(|e| {
            let file = ptq_sample::sample_file(&e.name, input, only)?.to_owned();
            Some((file, scan.read(&e.digest)?))
        })
    }

    /// A variant's stage results, building what is missing.
    ///
    /// # Errors
    /// As [`Project::build`]; the variant's own errors when it cannot be built.
    pub fn load(&self, variant: &str, events: &dyn EventSink) -> Result<Loaded, EngineError> {
        let options = BuildOptions { selectors: vec![variant.to_owned()], ..BuildOptions::default() };
        let names = self.select(&options.selectors)?;
        let (report, _) = self.attempt(&options, &names, events)?;
        let problems: Vec<Diagnostic> =
            report.variants.iter().flat_map(|v| v.errors().into_iter().cloned().collect::<Vec<_>>()).collect();
        if !problems.is_empty() {
            return Err(EngineError::Manifest(problems));
        }
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), BTreeSet::new()));
        let driver = self.driver(&session, &scan, &options, &names, events);
        let found = self.manifest.variants.get(variant).cloned().unwrap_or_default();
        let config = VariantConfig::of(&found).map_err(EngineError::Manifest)?;
        let finished: Vec<Finished> =
            driver.stages(variant).into_iter().map(|(name, state)| Finished { name, state, ran: false }).collect();
        let stages = stages_of(&found, &config, &finished);
        decode(&session, &stages, config.clone()).map_err(|f| EngineError::Manifest(f.diagnostics))
    }
}

fn decode(session: &Session, stages: &Stages<'_>, config: VariantConfig) -> Result<Loaded, Failure> {
    let tree = |stage: &str| artifacts::tree(session, stages, stage);
    let missing = || Failure::from(Diagnostic::error(LOST, "model.bin is no longer in the store"));
    Ok(Loaded {
        original: ptq_rule::read_graph(&tree("parse")?)?,
        optimized: ptq_rule::read_graph(&tree("fuse")?)?,
        quant: artifacts::quant(&tree("calibrate")?)?,
        integer: ptq_rule::read_qgraph(&tree("partition")?)?,
        bin: tree("compile")?.get("model.bin").cloned().ok_or_else(missing)?,
        config,
    })
}

fn stages_of<'a>(variant: &'a Variant, config: &'a VariantConfig, finished: &[Finished]) -> Stages<'a> {
    let trees: BTreeMap<&'static str, Digest> =
        finished.iter().filter_map(|f| Some((f.name, f.state.tree()?))).collect();
    let shown = |path: &str| variant.settings.get(path).map(|s| (path.to_owned(), s.value.to_string()));
    let settings = ["optimize_level", "calibration.type", "calibration.max_percentile"].into_iter().filter_map(shown);
    Stages { trees, variant: &variant.name, model: &variant.model, march: &config.march, settings: settings.collect() }
}

/// Whether a selector chooses a variant.
fn selects(selector: &str, variant: &Variant) -> bool {
    match selector.split_once('=') {
        Some(("model", value)) => variant.model == value,
        Some((key, value)) => match variant.settings.get(key).map(|s| &s.value) {
            Some(toml::Value::String(s)) => s == value,
            Some(other) => other.to_string() == value,
            None => false,
        },
        None => crate::sources::wildcard(selector, &variant.name),
    }
}

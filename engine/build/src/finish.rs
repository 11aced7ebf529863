//! What becomes of one variant after the waves: outcomes, files, warnings, the gate, the recipe.

use crate::artifacts::{self, Stages};
use crate::build::{BuildOptions, Driver, Finished, Outcome, StageName, VariantReport};
use crate::error::EngineError;
use crate::evaluate::Evaluator;
use crate::events::{Event, EventSink};
use crate::gate;
use crate::history;
use crate::manifest::{CUSTOM_PREFIX, STAGE_PREFIX, Variant, VariantConfig};
use crate::materialize;
use crate::project::Project;
use crate::queries::{ActionState, StageState};
use crate::recipe::{Recipe, note_name};
use crate::sources::{Scan, march_key, sample_key};
use crate::stage;
use ptq_cache::{Digest, Store};
use ptq_ir::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

impl Project {
    /// Reports a variant and, when every stage is done, brings its files up to date. `seen` gains the files.
    pub(crate) fn variant_report(
        &self,
        driver: &Driver<'_>,
        scan: &Scan,
        name: &str,
        options: &BuildOptions,
        ran: &BTreeSet<(&str, &str)>,
        seen: &mut Vec<PathBuf>,
    ) -> Result<VariantReport, EngineError> {
        let variant = self.manifest.variants.get(name).cloned().unwrap_or_default();
        let config = VariantConfig::of(&variant).map_err(EngineError::Manifest)?;
        let finished: Vec<Finished> = driver
            .stages(name)
            .into_iter()
            .map(|(stage, state)| Finished { ran: ran.contains(&(name, stage.as_ref())), name: stage, state })
            .collect();
        let mut report = VariantReport {
            name: name.to_owned(),
            march: config.march.clone(),
            optimize_level: config.optimize_level.clone(),
            stages: finished.iter().map(|f| (f.name.clone(), self.outcome(driver, &config, f))).collect(),
            min_cosine: None,
            bin_bytes: None,
            latency_us: None,
            made: None,
            tables: None,
            problems: self.source_problems(scan, &variant, &config),
            warnings: Vec::new(),
        };
        self.hits(driver, &report);
        if !options.dry_run && report.is_done() {
            self.finish(driver, scan, &variant, &config, &finished, &mut report, seen)?;
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
                if let Some(own) = stage::name_of(&stage.name).and_then(|own| self.manifest.stages.get(own)) {
                    d.place.file.get_or_insert_with(|| self.manifest_name());
                    d.place.line.get_or_insert(own.line);
                }
                d
            };
            return Outcome::Failed(failure.diagnostics.into_iter().map(named).collect());
        }
        match state {
            ActionState::Done(_) if stage.ran => Outcome::Ran,
            ActionState::Done(_) if driver.executor.session.fetched(&spec.key()).is_some() => Outcome::Fetched,
            ActionState::Done(_) => Outcome::Hit,
            _ => Outcome::Pending,
        }
    }

    fn hits(&self, driver: &Driver<'_>, report: &VariantReport) {
        for (stage, outcome) in &report.stages {
            let tier = match outcome {
                Outcome::Hit => "local",
                Outcome::Fetched => "remote",
                _ => continue,
            };
            let (variant, stage) = (report.name.clone(), stage.to_string());
            driver.executor.events.event(Event::Hit { variant, stage, tier });
        }
    }

    fn source_problems(&self, scan: &Scan, variant: &Variant, config: &VariantConfig) -> Vec<Diagnostic> {
        let file = self.manifest_name();
        let keys = [
            ("path", Some(config.path.clone())),
            ("march", Some(march_key(&config.march))),
            ("calibration.data", sample_key(config)),
            ("calibration.thresholds", config.thresholds.clone()),
            ("compile.replay_plan", config.compile.replay_plan.clone()),
        ];
        let external =
            scan.external.get(&config.path).into_iter().flatten().map(|(_, path)| ("path", Some(path.clone())));
        let customs = config.customs.keys().map(|name| ("custom_op", Some(format!("{CUSTOM_PREFIX}{name}"))));
        let own = scan.stages_of(&variant.name).map(|stage| ("stage", Some(format!("{STAGE_PREFIX}{stage}"))));
        keys.into_iter()
            .chain(external)
            .chain(own)
            .chain(customs)
            .filter_map(|(setting, key)| {
                let mut d = scan.problems.get(&key?)?.clone();
                d.place.file = Some(file.clone());
                d.place.line = d.place.line.or_else(|| variant.settings.get(setting).and_then(|s| s.line));
                Some(d)
            })
            .collect()
    }

    /// Writes a finished variant's files, checks its gate, and keeps its recipe.
    fn finish(
        &self,
        driver: &Driver<'_>,
        scan: &Scan,
        variant: &Variant,
        config: &VariantConfig,
        finished: &[Finished],
        report: &mut VariantReport,
        seen: &mut Vec<PathBuf>,
    ) -> Result<(), EngineError> {
        let session = driver.executor.session;
        let stages = stages_of(variant, config, finished);
        report.made = Some(Digest::of(format!("{:?}", stages.trees).as_bytes()));
        match materialize::variant(session, &stages, &config.artifacts, &self.out())? {
            Ok(paths) => seen.extend(paths),
            Err(failure) => {
                report.problems.extend(failure.diagnostics);
                return Ok(());
            }
        }
        let measured = artifacts::tree(session, &stages, "measure").and_then(|b| artifacts::measure(&b));
        let compiled = stages.trees.get("compile").and_then(|tree| session.store.tree(tree)).unwrap_or_default();
        let bin = compiled.iter().find(|e| e.name == "model.bin");
        report.bin_bytes = bin.map(|e| e.size);
        report.latency_us = bin.and_then(|e| self.latency_us(scan, &config.march, &e.digest));
        // Also those of results that are remembered: a warning that is told once only is lost.
        for stage in ["parse", "calibrate", "partition", "compile"] {
            if let Some(tree) = stages.trees.get(stage) {
                let told = warnings(&session.store, tree);
                report.warnings.extend(told.into_iter().map(|message| (stage.to_owned(), message)));
            }
        }
        warn(report, driver.executor.events);
        let mut outputs = Vec::new();
        if let Ok(measure) = measured {
            outputs = measure.outputs.iter().map(|o| o.output.clone()).collect();
            if finished.iter().any(|f| f.name == "measure" && f.ran) {
                let search = artifacts::tree(session, &stages, "calibrate").ok().and_then(|b| artifacts::search(&b));
                let search = search.map_or_else(String::new, |s| format!("{}\n", ptq_report::search_table(&s)));
                let (nodes, outputs) = (ptq_report::node_table(&measure), ptq_report::output_table(&measure));
                report.tables = Some(format!("{search}{nodes}\n{outputs}"));
            }
            report.min_cosine = measure.outputs.iter().map(|o| o.cosine.0).reduce(f64::min);
        }
        let evaluator =
            Evaluator { driver, scan, root: &self.root, variant: &variant.name, config, trees: &stages.trees };
        gate::hold(&evaluator, variant, &stages, &outputs, &self.out(), report, seen)?;
        self.keep_recipe(driver, variant, finished, report);
        driver.executor.events.event(Event::Finished { variant: variant.name.clone() });
        Ok(())
    }

    fn keep_recipe(&self, driver: &Driver<'_>, variant: &Variant, finished: &[Finished], report: &VariantReport) {
        let Some(old) = driver.recipes.get(&variant.name) else { return };
        let mut recipe = Recipe { stages: old.stages.clone(), ..Recipe::default() };
        for f in finished {
            let StageState::Ready { spec, .. } = &f.state else { continue };
            let key = spec.key().hex();
            if !f.ran && old.stages.get(f.name.as_ref()).is_some_and(|s| s.key == key) {
                continue;
            }
            let mut record = Recipe::record(spec);
            let fetched = driver.executor.session.fetched(&spec.key());
            record.outcome = if f.ran {
                "ran"
            } else if fetched.is_some() {
                "remote"
            } else {
                "hit"
            }
            .to_owned();
            record.made_by = fetched.unwrap_or_default();
            record.why = old.differences(&f.name, spec, &self.store);
            let run = driver.executor.session.remote_run(&spec.key());
            record.place = run.map_or_else(String::new, |run| run.place());
            recipe.stages.insert(f.name.to_string(), record);
        }
        if recipe.stages != old.stages
            && let Ok(bytes) = serde_json::to_vec(&recipe)
        {
            history::add(&self.store, report, old, &recipe, &bytes);
            self.store.set_note(&note_name(&variant.name), bytes);
        }
    }
}

/// The warnings of a stage's result; nothing else of it is read.
fn warnings(store: &Store, tree: &Digest) -> Vec<String> {
    let entry = store.tree(tree).and_then(|entries| entries.into_iter().find(|e| e.name == "warnings.json"));
    let list: Option<Vec<Diagnostic>> = entry.and_then(|e| serde_json::from_slice(&store.get(&e.digest)?).ok());
    list.unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Tells what stages of a variant warned of.
pub(crate) fn warn(report: &VariantReport, events: &dyn EventSink) {
    for (stage, message) in &report.warnings {
        let (variant, stage, message) = (report.name.clone(), stage.clone(), message.clone());
        events.event(Event::Warning { variant, stage, message });
    }
}

/// Trees of a variant's finished stages, and what its report names.
pub(crate) fn stages_of<'a>(variant: &'a Variant, config: &'a VariantConfig, finished: &[Finished]) -> Stages<'a> {
    let trees: BTreeMap<StageName, Digest> =
        finished.iter().filter_map(|f| Some((f.name.clone(), f.state.tree()?))).collect();
    let march_file = finished.iter().find(|f| f.name == "compile").and_then(|f| match &f.state {
        StageState::Ready { spec, .. } => spec.inputs.iter().find(|i| i.name == "march").map(|i| i.digest),
        StageState::Blocked => None,
    });
    let shown = |path: &str| variant.settings.get(path).map(|s| (path.to_owned(), s.value.to_string()));
    let settings = ["optimize_level", "calibration.type", "calibration.max_percentile"].into_iter().filter_map(shown);
    Stages {
        trees,
        variant: &variant.name,
        model: &variant.model,
        march: &config.march,
        inputs: &config.inputs,
        settings: settings.collect(),
        march_file,
    }
}

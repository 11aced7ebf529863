//! A variant at its own task: answers of an artifact to the evaluation samples, held to labels or to the float model.
//!
//! Called by `ptq eval` and by gates. Each artifact's answers are one action and their figures another, so that asking again runs
//! nothing, and another metric runs no model.

use crate::action::{ActionInput, ActionSpec};
use crate::build::{BuildOptions, Driver, Finished, StageName};
use crate::error::EngineError;
use crate::events::EventSink;
use crate::executor::internal;
use crate::external;
use crate::finish::stages_of;
use crate::manifest::{STAGE_PREFIX, SampleSource, VariantConfig, staged};
use crate::project::Project;
use crate::session::Session;
use crate::sources::{Scan, scan, set_key};
use ptq_cache::Digest;
use ptq_ir::Diagnostic;
use ptq_report::task::{Evaluation, TaskMetric};
use ptq_report::verify::Stage;
use ptq_report::{DICTIONARY, EVALUATION, EvaluateRule, LABELS, PREDICTION, PredictParams, PredictRule, TRUTH};
use ptq_rule::{BuildRule, Failure};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Metadata entry in which recognisers of PaddleOCR carry their dictionary.
const CHARACTERS: &str = "character";

/// A built variant that is to be evaluated.
pub(crate) struct Evaluator<'a> {
    pub(crate) driver: &'a Driver<'a>,
    pub(crate) scan: &'a Scan,
    pub(crate) root: &'a Path,
    pub(crate) variant: &'a str,
    pub(crate) config: &'a VariantConfig,
    pub(crate) trees: &'a BTreeMap<StageName, Digest>,
}

impl Project {
    /// Evaluates artifacts of a variant, building what is missing.
    ///
    /// # Errors
    /// As [`Project::load`]; when the manifest names no evaluation data, or data, labels and output do not go together.
    pub fn evaluate(
        &self,
        variant: &str,
        stages: &[Stage],
        events: &dyn EventSink,
    ) -> Result<Vec<(Stage, Evaluation)>, EngineError> {
        let names = vec![self.one(variant)?];
        let name = &names[0];
        let options = BuildOptions { selectors: names.clone(), ..BuildOptions::default() };
        self.built(&options, &names, events)?;
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), BTreeSet::new()));
        let driver = self.driver(&session, &scan, &options, &names, events);
        let found = self.manifest.variants.get(name).cloned().unwrap_or_default();
        let config = VariantConfig::of(&found).map_err(EngineError::Manifest)?;
        let finished: Vec<Finished> =
            driver.stages(name).into_iter().map(|(name, state)| Finished { name, state, ran: false }).collect();
        let trees = stages_of(&found, &config, &finished).trees;
        let root = &self.root;
        let evaluator = Evaluator { driver: &driver, scan: &scan, root, variant: name, config: &config, trees: &trees };
        let out = stages.iter().map(|s| Ok((*s, evaluator.evaluation(*s)?))).collect::<Result<_, Failure>>();
        self.store.flush()?;
        out.map_err(|f| EngineError::Manifest(f.diagnostics))
    }
}

impl Evaluator<'_> {
    /// Figures of one artifact.
    pub(crate) fn evaluation(&self, stage: Stage) -> Result<Evaluation, Failure> {
        let answers = self.answers(stage)?;
        let tree = if self.config.eval.command.is_empty() { self.figures(&answers)? } else { self.command(&answers)? };
        let blobs = self.driver.executor.load(&tree)?;
        let bytes = blobs.get(EVALUATION).ok_or_else(|| internal("an evaluation has no figures"))?;
        serde_json::from_slice(bytes).map_err(|e| internal(&e.to_string()))
    }

    fn answers(&self, stage: Stage) -> Result<Digest, Failure> {
        self.predict(stage, self.samples()?, self.config.eval.output.clone())
    }

    /// The tree of an artifact's answers to these samples, at this output.
    pub(crate) fn predict(&self, stage: Stage, samples: Digest, output: Option<String>) -> Result<Digest, Failure> {
        let store = &self.driver.executor.session.store;
        let missing = |stage: &str| internal(&format!("the result of {stage} is not there"));
        let graph = |stage: &'static str| {
            let inputs = self.trees.get(stage).and_then(|tree| ActionInput::graph(store, tree));
            inputs.ok_or_else(|| missing(stage))
        };
        let part = |stage: &'static str, name: &str| {
            let input = self.trees.get(stage).and_then(|tree| ActionInput::part(store, tree, name));
            input.ok_or_else(|| missing(stage))
        };
        let mut inputs = graph(if stage == Stage::Original { "parse" } else { "fuse" })?;
        match stage {
            Stage::Original | Stage::Optimized => {}
            Stage::Calibrated => inputs.push(part("calibrate", "quant")?),
            Stage::Quantized => {
                inputs.extend(graph("partition")?);
                inputs.sort_by(|a, b| a.name.cmp(&b.name));
                inputs.dedup();
            }
            Stage::Bin => inputs.push(part("compile", "model.bin")?),
        }
        inputs.push(ActionInput::tree("samples", samples));
        let params = PredictParams { inputs: self.config.inputs.clone(), stage, output };
        self.run(&PredictRule, &params, inputs)
    }

    fn samples(&self) -> Result<Digest, Failure> {
        if self.config.eval.data == SampleSource::None {
            let d = Diagnostic::error("EVAL04", format!("variant {} has no evaluation data", self.variant));
            return Err(d.hint("set eval.data to a folder of samples, and eval.labels to what they show").into());
        }
        let key = set_key(self.config, &self.config.eval.data).unwrap_or_default();
        let all = self.scan.samples.get(&key).copied().flatten().map(|(all, _)| all);
        all.ok_or_else(|| self.problem(&key, "eval.data"))
    }

    /// A file that the manifest names; the error is what the scan found wrong with it.
    fn file(&self, path: &str, key: &str) -> Result<Digest, Failure> {
        if let Some((stage, file)) = staged(path) {
            let tree = self.trees.get(format!("{STAGE_PREFIX}{stage}").as_str());
            let part = tree.and_then(|t| ActionInput::part(&self.driver.executor.session.store, t, file));
            return part.map(|p| p.digest).ok_or_else(|| internal(&format!("{key}: {path} is not there")));
        }
        self.scan.files.get(path).copied().flatten().ok_or_else(|| self.problem(path, key))
    }

    fn problem(&self, source: &str, key: &str) -> Failure {
        let known = self.scan.problems.get(source).cloned();
        known.unwrap_or_else(|| Diagnostic::error("EVAL04", format!("{key}: cannot read {source}"))).into()
    }

    /// Figures of answers by one of our metrics.
    fn figures(&self, answers: &Digest) -> Result<Digest, Failure> {
        let eval = &self.config.eval;
        let mut inputs = self.entries(answers, PREDICTION)?;
        match &eval.labels {
            Some(path) => inputs.push(ActionInput::blob(LABELS, self.file(path, "eval.labels")?)),
            None => inputs.extend(self.entries(&self.answers(Stage::Original)?, TRUTH)?),
        }
        if matches!(eval.task.metric, TaskMetric::Characters | TaskMetric::Lines) {
            inputs.extend(self.dictionary()?.map(|digest| ActionInput::blob(DICTIONARY, digest)));
        }
        self.run(&EvaluateRule, &eval.task, inputs)
    }

    /// Answers under another prefix.
    fn entries(&self, answers: &Digest, prefix: &str) -> Result<Vec<ActionInput>, Failure> {
        let entries = self.driver.executor.session.store.tree(answers).ok_or_else(|| internal("answers are gone"))?;
        let named = |name: &str| format!("{prefix}{}", name.trim_start_matches(PREDICTION));
        Ok(entries.iter().map(|e| ActionInput::blob(&named(&e.name), e.digest)).collect())
    }

    /// The recogniser's entries: the manifest's file, or the model's own metadata.
    fn dictionary(&self) -> Result<Option<Digest>, Failure> {
        if let Some(path) = &self.config.eval.dictionary {
            return self.file(path, "eval.dictionary").map(Some);
        }
        let model = self.file(&self.config.path, "path")?;
        let text = self.driver.executor.bytes(&model).and_then(|bytes| ptq_onnx::metadata(&bytes, CHARACTERS));
        let put = |text: String| self.driver.executor.session.store.put(text.as_bytes());
        text.map(put).transpose().map_err(|e| internal(&e.to_string()))
    }

    /// Figures of answers by the manifest's program.
    fn command(&self, answers: &Digest) -> Result<Digest, Failure> {
        let eval = &self.config.eval;
        let mut inputs = vec![ActionInput::tree("answers", *answers)];
        for path in eval.files(self.root) {
            inputs.push(ActionInput::blob(&path, self.file(&path, "eval")?));
        }
        let params = serde_json::json!({ "command": eval.command, "labels": eval.labels }).to_string();
        let spec = ActionSpec { rule: external::RULE.into(), version: external::VERSION, params, inputs };
        let executor = &self.driver.executor;
        let key = spec.key();
        if let Some(tree) = executor.session.done(external::RULE, &key) {
            return Ok(tree);
        }
        let labels = eval.labels.as_ref().map(|path| self.file(path, "eval.labels")).transpose()?;
        let found = external::measure(executor, self.variant, eval, self.root, answers, labels)?;
        let json = serde_json::to_vec(&found).map_err(|e| internal(&e.to_string()))?;
        let tree = executor.session.store.record(&key, &[(EVALUATION.to_owned(), json.into())]);
        let tree = tree.map_err(|e| internal(&e.to_string()))?;
        executor.session.finish(key, tree);
        Ok(tree)
    }

    fn run<P: Serialize>(&self, rule: &dyn BuildRule, params: &P, inputs: Vec<ActionInput>) -> Result<Digest, Failure> {
        let params = serde_json::to_string(params).map_err(|e| internal(&e.to_string()))?;
        let spec = ActionSpec { rule: rule.name().to_owned(), version: rule.version(), params, inputs };
        self.driver.executor.run(&spec, self.variant, &[], self.driver.options.jobs.max(1))
    }
}

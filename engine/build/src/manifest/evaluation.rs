//! The keys `eval.*` and `gate.*` of a variant. Called by [`super::VariantConfig::of`].

use super::Variant;
use super::config::{SampleSource, data, texts};
use super::settings::number;
use ptq_ir::Diagnostic;
use ptq_report::task::{Task, TaskMetric};
use std::path::Path;

/// Where a pixel begins to belong to a mask (the `thresh` of PP-OCR's post-processing).
const ABOVE: f64 = 0.3;

/// How a variant is evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvalConfig {
    /// Evaluation samples.
    pub data: SampleSource,
    /// File of labels, relative to the manifest; the float model's answers are the truth without it.
    pub labels: Option<String>,
    /// File of a recogniser's entries, relative to the manifest.
    pub dictionary: Option<String>,
    /// Output that is evaluated.
    pub output: Option<String>,
    /// What is measured.
    pub task: Task,
    /// Program with arguments that measures instead.
    pub command: Vec<String>,
}

impl EvalConfig {
    pub(super) fn of(variant: &Variant, problems: &mut Vec<Diagnostic>) -> EvalConfig {
        let setting = |key: &str| variant.settings.of("eval", key);
        let text = |key: &str| setting(key).and_then(|s| s.value.as_str()).map(str::to_owned);
        let config = EvalConfig {
            data: data(variant, "eval.data"),
            labels: text("labels"),
            dictionary: text("dictionary"),
            output: text("output"),
            task: Task {
                metric: text("metric")
                    .and_then(|w| serde_json::from_value(serde_json::Value::String(w)).ok())
                    .unwrap_or_default(),
                classes: texts(variant, "eval.classes"),
                above: setting("above").and_then(|s| number(&s.value)).unwrap_or(ABOVE),
            },
            command: texts(variant, "eval.command"),
        };
        let mut refuse = |key: &str, why: &str, hint: &str| {
            let mut d = Diagnostic::error("MANIFEST17", format!("variant {}: {why}", variant.name)).hint(hint);
            d.place.line = setting(key).and_then(|s| s.line);
            problems.push(d);
        };
        let map = config.task.metric == TaskMetric::Map && config.command.is_empty();
        if config.data != SampleSource::None && map && config.labels.is_none() {
            refuse("metric", "eval.metric = \"map\" needs labelled boxes", "set eval.labels");
        }
        if config.task.metric == TaskMetric::MaskIou && config.command.is_empty() && config.labels.is_some() {
            refuse("labels", "eval.metric = \"mask_iou\" compares with the float model's masks", "remove eval.labels");
        }
        if setting("command").is_some() && config.command.is_empty() {
            refuse("command", "eval.command names no program", "give the program and its arguments as a list");
        }
        config
    }

    /// Files that an evaluation reads besides its samples, relative to the manifest: labels, dictionary, and the words of
    /// the command that are files below `root`.
    pub(crate) fn files(&self, root: &Path) -> Vec<String> {
        let words = self.command.iter().filter(|w| root.join(w).is_file());
        self.labels.iter().chain(&self.dictionary).chain(words).cloned().collect()
    }
}

/// What a finished variant must keep; `None` asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GateConfig {
    /// Least cosine similarity of any output.
    pub min_cosine: Option<f64>,
    /// Least signal to quantization noise ratio of any output, decibels.
    pub min_sqnr_db: Option<f64>,
    /// Largest loss of top-1 accuracy, a share of 1.
    pub max_top1_drop: Option<f64>,
    /// Least figure of the evaluation.
    pub min_metric: Option<f64>,
}

impl GateConfig {
    pub(super) fn of(variant: &Variant, eval: &EvalConfig, problems: &mut Vec<Diagnostic>) -> GateConfig {
        let figure = |key: &str| variant.settings.get(key).and_then(|s| number(&s.value));
        let mut refuse = |key: &str, why: &str, hint: &str| {
            let mut d = Diagnostic::error("MANIFEST17", format!("variant {}: {key} {why}", variant.name)).hint(hint);
            d.place.line = variant.settings.get(key).and_then(|s| s.line);
            problems.push(d);
        };
        for key in ["gate.max_top1_drop", "gate.min_metric"] {
            if figure(key).is_some() && eval.data == SampleSource::None {
                refuse(key, "needs evaluation data", "set eval.data, and eval.labels to what it shows");
            }
        }
        let top = matches!(eval.task.metric, TaskMetric::Top1 | TaskMetric::Top5) && eval.command.is_empty();
        if figure("gate.max_top1_drop").is_some() && !top {
            refuse("gate.max_top1_drop", "needs eval.metric = \"top1\"", "gate.min_metric holds any metric");
        }
        GateConfig {
            min_cosine: figure("gate.min_cosine"),
            min_sqnr_db: figure("gate.min_sqnr_db"),
            max_top1_drop: figure("gate.max_top1_drop"),
            min_metric: figure("gate.min_metric"),
        }
    }
}

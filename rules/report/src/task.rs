//! What a model is worth at its own task, from one output of each sample: classes, text, masks, boxes.
//!
//! Called by the rule `evaluate`. Truth is either labels that people gave, or the answers of the float model.

mod boxes;
mod classes;
mod labels;
mod mask;
mod text;

pub use boxes::{Found, Labelled, mean_average_precision};
pub use classes::{largest, rank};
pub use labels::Labels;
pub use mask::Overlap;
pub use text::{Dictionary, edits};

use crate::Figure;
use ptq_ir::{Diagnostic, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is measured. Each word is the key of the figure that stands for the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskMetric {
    /// Share of samples whose most likely class is right.
    #[default]
    Top1,
    /// Share of samples whose class is among the five most likely ones.
    Top5,
    /// 1 less the edits per character of the truth.
    Characters,
    /// Share of lines that are read without a mistake.
    Lines,
    /// Intersection over union of pixels above a limit.
    MaskIou,
    /// Mean average precision over IoU 0.50 to 0.95.
    Map,
}

impl TaskMetric {
    /// The word in manifests and tables.
    pub fn word(self) -> &'static str {
        match self {
            TaskMetric::Top1 => "top1",
            TaskMetric::Top5 => "top5",
            TaskMetric::Characters => "characters",
            TaskMetric::Lines => "lines",
            TaskMetric::MaskIou => "mask_iou",
            TaskMetric::Map => "map",
        }
    }
}

/// How to measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What.
    pub metric: TaskMetric,
    /// Words of the labels in the order of the classes; labels are class numbers without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Masks: a pixel above this belongs to the mask.
    pub above: f64,
}

/// What the answers are held to.
#[derive(Clone, Debug)]
pub enum Truth {
    /// What people say.
    Labels(Labels),
    /// Answers of the float model, by file.
    Float(BTreeMap<String, Tensor>),
}

/// Figures of one artifact on the evaluation data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Word of the metric, or `command`.
    pub metric: String,
    /// Its figure.
    pub value: Figure,
    /// This figure and its relatives, by word.
    pub figures: BTreeMap<String, Figure>,
    /// Evaluated samples; for a command those that it was given.
    pub samples: usize,
    /// `labels`, or `float model` where there are none.
    pub against: String,
}

/// Measures answers, one tensor a file.
///
/// # Errors
/// A sample without truth, a label that is no class, a tensor that the metric cannot read.
pub fn evaluate(
    task: &Task,
    answers: &BTreeMap<String, Tensor>,
    truth: &Truth,
    dictionary: Option<&str>,
) -> Result<Evaluation, Diagnostic> {
    let figures = match task.metric {
        TaskMetric::Top1 | TaskMetric::Top5 => classes::figures(task, answers, truth)?,
        TaskMetric::Characters | TaskMetric::Lines => text::figures(answers, truth, dictionary)?,
        TaskMetric::MaskIou => mask::figures(task, answers, truth)?,
        TaskMetric::Map => boxes::figures(task, answers, truth)?,
    };
    let figures: BTreeMap<String, Figure> = figures.into_iter().map(|(k, v)| (k.to_owned(), Figure(v))).collect();
    let value = figures.get(task.metric.word()).copied().unwrap_or(Figure(f64::NAN));
    let against = if matches!(truth, Truth::Labels(_)) { "labels" } else { "float model" };
    Ok(Evaluation {
        metric: task.metric.word().to_owned(),
        value,
        figures,
        samples: answers.len(),
        against: against.to_owned(),
    })
}

/// The float model's answer for a file.
fn float_answer<'a>(truth: &'a BTreeMap<String, Tensor>, file: &str) -> Result<&'a Tensor, Diagnostic> {
    truth.get(file).ok_or_else(|| problem(format!("the float model has no answer for {file}")))
}

fn problem(why: String) -> Diagnostic {
    Diagnostic::error("EVAL01", why)
}

/// A share of a count; 1 of nothing.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

//! What an analysis says: types of its JSON, which is what `ptq analyze --json` prints.

use super::errors::Errors;
use serde::{Deserialize, Serialize};

/// Where a variant loses accuracy, and what would help.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Samples that errors and scores are measured on.
    pub samples: usize,
    /// Names of the values that are compared, [`Errors`] over several are the worst of each measure.
    pub compared: Vec<String>,
    /// Score of the variant's table as searches compute it: mean over samples of the least cosine similarity of any compared value.
    pub score: Option<f64>,
    /// Errors at the compared values: everything quantized, weights only, activations only.
    pub whole: Parts,
    /// Accelerated nodes that compute, the one that costs most on its own first.
    pub nodes: Vec<NodeAnalysis>,
    /// All nodes in the order of the graph, to draw it.
    pub graph: Vec<GraphNode>,
    /// Quantized activations, by the order of their makers.
    pub values: Vec<ValueAnalysis>,
    /// What would help, the best score first; each measured as if the manifest held these lines.
    pub proposals: Vec<Proposal>,
}

/// Errors of weights and activations together, and of each without the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Inputs and weights.
    pub both: Errors,
    /// Weights only.
    pub weights: Errors,
    /// Activations only.
    pub activations: Errors,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeAnalysis {
    /// Name.
    pub node: String,
    /// ONNX operator.
    pub op: String,
    /// Its quantized inputs.
    pub inputs: Vec<String>,
    /// The value that it makes, with the activation that it absorbs.
    pub output: String,
    /// Errors at the compared values when only this node is quantized.
    pub alone: Parts,
    /// Errors of its own result when everything is quantized.
    pub accumulated: Parts,
    /// Its weights, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightAnalysis>,
}

/// Weights of a node, one entry a filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightAnalysis {
    /// Name of the constant.
    pub name: String,
    /// Smallest and largest weight of each filter.
    pub channels: Vec<(f32, f32)>,
    /// Scale of each filter.
    pub scale: Vec<f32>,
    /// Signal to noise ratio of the rounded weights, decibels.
    pub sqnr_db: Option<f64>,
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Name.
    pub node: String,
    /// ONNX operator.
    pub op: String,
    /// `BPU` or `CPU`.
    pub on: String,
    /// The node that computes it along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absorbed_by: Option<String>,
    /// Numbers of the nodes that it reads.
    pub reads: Vec<usize>,
}

/// A quantized activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueAnalysis {
    /// Name.
    pub name: String,
    /// What chose the range.
    pub method: String,
    /// The chosen range.
    pub lo: f32,
    /// Upper end of the chosen range.
    pub hi: f32,
    /// Step of the grid; the coarsest where channels have steps of their own.
    pub scale: f32,
    /// Zero point.
    pub zero_point: i32,
    /// Smallest observed element; `None` when nothing was observed (images, loaded ranges).
    pub min: Option<f32>,
    /// Largest observed element.
    pub max: Option<f32>,
    /// Elements observed.
    pub count: u64,
    /// Share of elements outside the chosen range.
    pub clipped: f64,
    /// Counts of elements in even steps from `min` to `max`; zeros are left out and stand in `zeros`.
    pub histogram: Vec<u64>,
    /// Elements that are zero.
    pub zeros: u64,
    /// Smallest and largest element of each channel (axis 1), where it has some.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub channels: Vec<(f32, f32)>,
}

/// Lines of the manifest that would help, and what they bring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The node that it is for; `None` for one that changes the whole variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it does, in words.
    pub what: String,
    /// Settings by path, as in `-D path=value`.
    pub settings: Vec<(String, String)>,
    /// Score of the variant with these settings, on the same samples.
    pub score: f64,
    /// How much the score rises.
    pub gain: f64,
}

//! What a verification found, as values.

use super::{Gate, Stage};
use crate::Figure;
use serde::{Deserialize, Serialize};

/// Judgement of one pair of stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Within the limit.
    Passed,
    /// Outside a limit that is about accuracy.
    Warning,
    /// Outside a limit that only a bug breaks.
    Failed,
}

/// A tensor and its figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// The node that made it; empty for a model input.
    pub node: String,
    /// The tensor, as the later stage names it.
    pub value: String,
    /// The pair's measure; NaN when type or shape differ.
    pub figure: Figure,
}

/// Figures of one model output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputFigures {
    /// Model output.
    pub output: String,
    /// Cosine similarity.
    pub cosine: Figure,
    /// `max|a - b| / max|b|`.
    pub error: Figure,
    /// Whether the pair's own measure is within its limit.
    pub accepted: bool,
}

/// Comparison of two neighbouring stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairReport {
    /// The reference.
    pub before: Stage,
    /// The stage that is judged.
    pub after: Stage,
    /// What each tensor is held to, in words.
    pub condition: String,
    /// What a figure outside it means.
    pub gate: Gate,
    /// Why this limit.
    pub why: String,
    /// Judgement.
    pub verdict: Verdict,
    /// Number of tensors that both stages have.
    pub compared: usize,
    /// The first tensor outside the limit, in the order of execution.
    pub first: Option<Divergence>,
    /// The tensor farthest from agreement.
    pub worst: Option<Divergence>,
    /// Model outputs in the model's order.
    pub outputs: Vec<OutputFigures>,
}

/// Result of `ptq verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether nothing failed; warnings do not count.
    pub passed: bool,
    /// Differences between the artifacts' inputs and outputs, one sentence each.
    pub contract: Vec<String>,
    /// Pairs in the order of the stages.
    pub pairs: Vec<PairReport>,
    /// Rewrites of the manifest that alone make the optimized graph differ from the original one, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<String>,
}

impl VerifyReport {
    pub(super) fn new(contract: Vec<String>, pairs: Vec<PairReport>) -> VerifyReport {
        let passed = contract.is_empty() && pairs.iter().all(|p| p.verdict != Verdict::Failed);
        VerifyReport { passed, contract, pairs, rewrites: Vec::new() }
    }

    /// The first failed pair and the node where its stages part, if one failed. A pair whose outputs differ though no
    /// tensor in between could be compared names none.
    pub fn first_divergence(&self) -> Option<(&PairReport, Option<&Divergence>)> {
        self.pairs.iter().find(|p| p.verdict == Verdict::Failed).map(|p| (p, p.first.as_ref()))
    }
}

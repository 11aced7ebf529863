//! The one table of what `ptq verify` accepts.

use serde::{Deserialize, Serialize};

/// An artifact that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The parsed float graph (`original_float.onnx`).
    Original,
    /// The fused float graph (`optimized_float.onnx`).
    Optimized,
    /// The fused graph with simulated quantization (`calibrated.onnx`).
    Calibrated,
    /// The integer program in the naive interpreter (`quantized.onnx`).
    Quantized,
    /// The compiled program in the runtime (`model.bin`).
    Bin,
}

impl Stage {
    /// Name as reports print it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Original => "original",
            Stage::Optimized => "optimized",
            Stage::Calibrated => "calibrated",
            Stage::Quantized => "quantized",
            Stage::Bin => "bin",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How two tensors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// `max|a - b| / max|b|`, `b` of the earlier stage; at most the limit.
    MaxRelativeError,
    /// Cosine similarity of the real values; at least the limit.
    Cosine,
    /// Elements with other bits; at most the limit.
    DifferentElements,
    /// Quantization steps between a node's result and that of the float nodes it stands for, on equal inputs; at most
    /// the limit. For float and int32 results a step is a ten-thousandth of the largest magnitude.
    Steps,
}

impl Metric {
    /// Whether a figure is acceptable; NaN never is.
    pub fn accepts(self, figure: f64, limit: f64) -> bool {
        match self {
            Metric::Cosine => figure >= limit,
            Metric::MaxRelativeError | Metric::DifferentElements | Metric::Steps => figure <= limit,
        }
    }

    /// Whether the first figure is farther from agreement than the second; NaN is the farthest.
    pub fn is_worse(self, a: f64, b: f64) -> bool {
        match self {
            _ if b.is_nan() => false,
            _ if a.is_nan() => true,
            Metric::Cosine => a < b,
            Metric::MaxRelativeError | Metric::DifferentElements | Metric::Steps => a > b,
        }
    }

    /// The condition in words.
    pub fn condition(self, limit: f64) -> String {
        match self {
            Metric::MaxRelativeError => format!("max|a-b| / max|b| <= {limit:e}"),
            Metric::Cosine => format!("cosine >= {limit}"),
            Metric::DifferentElements if limit == 0.0 => "bit-equal".to_owned(),
            Metric::Steps => format!("at most {limit} step of difference on equal inputs"),
            Metric::DifferentElements => format!("elements with other bits <= {limit}"),
        }
    }
}

/// What a figure outside the limit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// A bug: verification fails, on any tensor.
    Fail,
    /// Loss of accuracy: a warning, on model outputs.
    Warn,
}

/// What one pair of stages is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The reference.
    pub before: Stage,
    /// The stage that is judged.
    pub after: Stage,
    /// The measure, for each tensor that both stages have.
    pub metric: Metric,
    /// Its limit.
    pub limit: f64,
    /// What a figure outside the limit means.
    pub gate: Gate,
    /// Why this measure and this limit.
    pub why: &'static str,
}

/// Every limit of `ptq verify`, in the order of the stages.
pub const LIMITS: [Limit; 4] = [
    Limit {
        before: Stage::Original,
        after: Stage::Optimized,
        metric: Metric::MaxRelativeError,
        limit: 1e-4,
        gate: Gate::Fail,
        why: "fusion keeps the function; it rounds weights once and sums in another order; where the model's own arithmetic \
              loses digits, up to 8 times what one rounding step of its constants changes",
    },
    Limit {
        before: Stage::Optimized,
        after: Stage::Calibrated,
        metric: Metric::Cosine,
        limit: 0.99,
        gate: Gate::Warn,
        why: "the loss of quantization itself; below 0.99 at an output, try another calibration",
    },
    Limit {
        before: Stage::Calibrated,
        after: Stage::Quantized,
        metric: Metric::Steps,
        limit: 1.0,
        gate: Gate::Fail,
        why: "integer rounding moves a node's result by at most one step of its scale; each node is compared on the \
              tensors that it read, since whole runs add up such steps",
    },
    Limit {
        before: Stage::Quantized,
        after: Stage::Bin,
        metric: Metric::DifferentElements,
        limit: 0.0,
        gate: Gate::Fail,
        why: "both compute one integer program, so every bit is equal",
    },
];

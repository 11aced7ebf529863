//! Graph and integer program → ONNX bytes: operator set 17, deterministic, inputs and outputs in the model's order and
//! under their names. Called by the engine when it materializes artifacts, and by tests.

mod fake_quant;
mod file;
mod float;
mod qdq;

pub use fake_quant::export_fake_quant;
pub use float::export_float;
pub use qdq::export_qdq;

use std::collections::{BTreeMap, BTreeSet};

/// What a file says about itself. Must be the same for equal builds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportMeta {
    /// Free key-value pairs, written to `metadata_props` in key order.
    pub metadata: BTreeMap<String, String>,
    /// Inputs whose images the integer program's file takes channels-last, behind a Transpose of the file.
    pub channels_last: BTreeSet<String>,
}

#[cfg(test)]
mod tests;

//! Committed golden outputs: what stock ONNX Runtime gave for the example models, and digests of our artifacts.
//!
//! Written by `cargo run -p ptq-tests --bin golden` (needs the oracle), read by the `golden` suite (needs nothing).

use crate::project::TestProject;
use crate::workspace_root;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An example whose outputs are recorded.
pub struct Example {
    /// Folder under `examples/`.
    pub folder: &'static str,
    /// Model input.
    pub input: &'static str,
    /// Model output.
    pub output: &'static str,
    /// Variants of its manifest: march and name.
    pub variants: &'static [(&'static str, &'static str)],
    /// Evaluation images that are recorded.
    pub images: &'static [&'static str],
}

/// The examples that come with the project.
pub const EXAMPLES: &[Example] = &[
    Example {
        folder: "fashion-classifier",
        input: "input",
        output: "logits",
        variants: &[("cpu", "fashion-cpu"), ("bayes", "fashion-bayes")],
        images: &["000.png", "001.png", "002.png", "003.png"],
    },
    Example {
        folder: "shape-segmenter",
        input: "image",
        output: "mask",
        variants: &[("cpu", "shapes-cpu"), ("bayes", "shapes-bayes")],
        images: &["000.png", "001.png"],
    },
];

/// Recorded numbers of one example.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Golden {
    /// Float outputs of `original_float.onnx` in ONNX Runtime, by image.
    pub float: BTreeMap<String, Vec<f32>>,
    /// Outputs of march `cpu`'s `quantized.onnx` in ONNX Runtime with exact arithmetic, by image.
    pub quantized: BTreeMap<String, Vec<f32>>,
    /// BLAKE3 of every artifact, by `variant/file`.
    pub artifacts: BTreeMap<String, String>,
}

/// File of an example's golden outputs.
pub fn path(example: &Example) -> PathBuf {
    workspace_root().join("tests/golden").join(format!("{}.json", example.folder))
}

/// The example copied to a temporary folder, so that building it leaves the checkout alone.
pub fn copy(example: &Example) -> TestProject {
    let from = format!("examples/{}", example.folder);
    let manifest = std::fs::read_to_string(workspace_root().join(&from).join("ptq.toml")).unwrap_or_default();
    let project = TestProject::new(&manifest);
    project.copy(&format!("{from}/model.onnx"), "model.onnx");
    project.copy(&format!("{from}/data"), "data");
    project
}

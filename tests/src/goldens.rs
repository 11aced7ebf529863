//! Committed golden outputs: what stock ONNX Runtime gave for the example models, and digests of our artifacts.
//!
//! Written by `cargo run -p ptq-tests --bin golden` (needs the oracle), read by the `golden` suite (needs nothing).

use crate::project::TestProject;
use crate::workspace_root;
use ptq_engine::{BuildOptions, EngineError, Loaded, NoEvents, Project};
use ptq_ir::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An example whose outputs are recorded.
pub struct Example {
    /// Folder under `examples/`.
    pub folder: &'static str,
    /// Model input.
    pub input: &'static str,
    /// Variant of march `cpu`.
    pub cpu: &'static str,
    /// Variant of march `bayes`.
    pub bayes: &'static str,
    /// Evaluation images that are recorded.
    pub images: &'static [&'static str],
}

/// The examples that come with the project.
pub const EXAMPLES: &[Example] = &[
    Example {
        folder: "fashion-classifier",
        input: "input",
        cpu: "fashion-cpu",
        bayes: "fashion-bayes",
        images: &["000.png", "001.png", "002.png", "003.png"],
    },
    Example {
        folder: "shape-segmenter",
        input: "image",
        cpu: "shapes-cpu",
        bayes: "shapes-bayes",
        images: &["000.png", "001.png"],
    },
];

/// Recorded numbers of one example.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// Float output of `original_float.onnx` in ONNX Runtime, by image.
    pub float: BTreeMap<String, Vec<f32>>,
    /// Output of march `cpu`'s `quantized.onnx` in ONNX Runtime with exact arithmetic, by image.
    pub quantized: BTreeMap<String, Vec<f32>>,
    /// BLAKE3 of every artifact, by `variant/file`.
    pub artifacts: BTreeMap<String, String>,
}

/// File of an example's golden outputs.
pub fn path(example: &Example) -> PathBuf {
    workspace_root().join("tests/golden").join(format!("{}.json", example.folder))
}

/// An example in a temporary folder, built.
pub struct Built {
    /// The folder.
    pub folder: TestProject,
    /// The opened project.
    pub project: Project,
}

impl Built {
    /// Copies an example below this folder, so that building it leaves the checkout alone, and builds all its variants.
    ///
    /// # Errors
    /// When it does not build.
    ///
    /// # Panics
    /// When the example cannot be copied.
    pub fn new(example: &Example, below: &Path) -> Result<Built, String> {
        let from = format!("examples/{}", example.folder);
        let manifest = std::fs::read_to_string(workspace_root().join(&from).join("ptq.toml")).unwrap_or_default();
        let folder = TestProject::at(&below.join(example.folder), &manifest);
        folder.copy(&format!("{from}/model.onnx"), "model.onnx");
        folder.copy(&format!("{from}/data"), "data");
        Built::open(folder)
    }

    /// Builds all variants of a folder.
    ///
    /// # Errors
    /// When a variant does not build.
    pub fn open(mut folder: TestProject) -> Result<Built, String> {
        let project = Project::open(&folder.file("ptq.toml"), &[]).map_err(|e| e.to_string())?;
        let report = project.build(&BuildOptions::default(), &NoEvents).map_err(|e| e.to_string())?;
        let errors: Vec<String> = report.variants.iter().flat_map(|v| v.errors()).map(ToString::to_string).collect();
        folder.release();
        if errors.is_empty() { Ok(Built { folder, project }) } else { Err(errors.join("\n")) }
    }

    /// Decoded stage results of a variant.
    ///
    /// # Errors
    /// When the variant is not there.
    pub fn load(&self, variant: &str) -> Result<Loaded, EngineError> {
        self.project.load(variant, &NoEvents)
    }

    /// A file of a variant's output folder.
    pub fn out(&self, variant: &str, name: &str) -> PathBuf {
        self.folder.file("out").join(variant).join(name)
    }

    /// An image as the model's only input, decoded as calibration decodes it.
    ///
    /// # Panics
    /// When the image cannot be read or does not fit.
    pub fn image(&self, loaded: &Loaded, file: &Path) -> Tensor {
        let value = loaded.original.value(loaded.original.inputs[0]);
        let spec = loaded.config.inputs.get(&value.name).cloned().unwrap_or_default();
        let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let name = file.to_string_lossy();
        ptq_sample::decode(&name, &bytes, &spec, value.dtype, &value.shape).unwrap_or_else(|d| panic!("{d}"))
    }
}

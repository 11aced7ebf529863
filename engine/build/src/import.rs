//! Horizon YAML files as manifests with the same meaning.
//!
//! Entry point: [`import`]. `yaml` reads within bounds, `keys` is the table of every key, `settings` checks forms, `inputs`
//! and `checks` what must fit together, `write` the text. Everything wrong is reported at once, with file, line and key.

mod checks;
mod inputs;
mod keys;
mod node_info;
mod settings;
mod write;
mod yaml;

pub use keys::reference;

use crate::paths::beside;
use keys::{CALIBRATION, COMPILER, MODEL};
use ptq_ir::{Diagnostic, Severity};
use settings::Settings;
use std::path::Path;

/// What the ONNX file says of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInput {
    /// Name.
    pub name: String,
    /// Dimensions; `None` where they are open.
    pub dims: Vec<Option<i64>>,
}

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// The manifest; `None` when something is wrong.
    pub manifest: Option<String>,
    /// Every problem, errors and warnings, in the order of the file.
    pub problems: Vec<Diagnostic>,
}

/// Turns a YAML file into a manifest. `text` is the file's content, `file` its path for messages, `folder` where its
/// relative paths begin, `target` the folder of the new manifest.
///
/// Reads the ONNX file and lists calibration folders where they exist.
pub fn import(text: &str, file: &str, folder: &Path, target: &Path) -> Imported {
    let tree = match yaml::read(text) {
        Ok(tree) => tree,
        Err(d) => return Imported { manifest: None, problems: vec![d.file(file)] },
    };
    let mut s = Settings::of(&tree, file);
    let march = checks::march(&mut s);
    let model = checks::model(&mut s, folder);
    checks::options(&mut s);
    let nodes = node_info::nodes(&mut s);
    let inputs = inputs::inputs(&mut s, &march, model.as_deref());
    checks::calibration(&mut s, &inputs, folder);
    checks::compiler(&mut s, &march);
    checks::custom(&mut s);
    let mut problems = std::mem::take(&mut s.problems);
    problems.sort_by_key(|d| d.place.line);
    let failed = problems.iter().any(|d| d.severity == Severity::Error);
    let paths = write::Paths { folder, target };
    let manifest = (!failed).then(|| write::manifest(&s, &march, &inputs, &nodes, file, &paths));
    let manifest = manifest.map(|text| text + &write::customs(&s, &foreign(&s, folder), &paths));
    Imported { manifest, problems }
}

/// Operators of other domains in the ONNX file, as far as it can be read.
fn foreign(s: &Settings, folder: &Path) -> std::collections::BTreeSet<String> {
    let file = s.text(MODEL, "onnx_model").map(|(path, _)| folder.join(path));
    let bytes = file.and_then(|f| std::fs::read(f).ok());
    bytes.and_then(|b| ptq_onnx::foreign_ops(&b, &ptq_onnx::Limits::default()).ok()).unwrap_or_default()
}

/// Inputs of an ONNX file, as far as it can be read.
fn model_inputs(path: &Path) -> Result<Vec<ModelInput>, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let limits = ptq_onnx::Limits { quantized: true, foreign: true, ..ptq_onnx::Limits::default() };
    let raw = ptq_onnx::import(&bytes.into(), &beside(path), &limits).map_err(|p| {
        let list: Vec<String> = p.iter().map(ToString::to_string).collect();
        list.join("; ")
    })?;
    let dim = |d: &ptq_onnx::RawDim| match d {
        ptq_onnx::RawDim::Fixed(n) => i64::try_from(*n).ok(),
        ptq_onnx::RawDim::Open(_) => None,
    };
    let input =
        |i: &ptq_onnx::RawInput| ModelInput { name: i.name.clone(), dims: i.dims.iter().flatten().map(dim).collect() };
    Ok(raw.inputs.iter().map(input).collect())
}

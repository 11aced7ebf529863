//! Horizon YAML files as manifests with the same meaning.
//!
//! Entry point: [`import`]. `yaml` reads within bounds (`flow` helps it), `keys` is the table of every key, `settings` checks forms,
//! `inputs`, `checks`, `samples`, `names` and `words` what must fit together, `model` reads the ONNX file, `write` makes the text.
//! Everything wrong is reported at once, with file, line and key.

mod checks;
mod flow;
mod inputs;
mod keys;
mod model;
mod names;
mod node_info;
mod samples;
mod settings;
mod words;
mod write;
mod yaml;

pub use keys::reference;

use keys::{CALIBRATION, COMPILER, MODEL};
use ptq_ir::{DType, Diagnostic, Severity};
use settings::Settings;
use std::path::Path;

/// What the ONNX file says of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInput {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
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
    let nodes = node_info::nodes(&mut s, &march);
    if let Some(model) = &model {
        names::check(&mut s, model);
    }
    let inputs = inputs::inputs(&mut s, &march, model.as_ref().map(|m| m.inputs.as_slice()));
    checks::calibration(&mut s, &inputs, folder);
    checks::generation(&mut s, &march);
    let words = words::words(&mut s, &march);
    checks::compiler(&mut s, &march);
    checks::custom(&mut s);
    let mut problems = std::mem::take(&mut s.problems);
    problems.sort_by_key(|d| d.place.line);
    let failed = problems.iter().any(|d| d.severity == Severity::Error);
    let paths = write::Paths { folder, target };
    let manifest = (!failed).then(|| {
        write::manifest(
            &s,
            &write::Meaning { march: &march, inputs: &inputs, nodes: &nodes, words: &words },
            file,
            &paths,
        )
    });
    let manifest = manifest.map(|text| text + &write::customs(&s, &foreign(&s, folder), &paths));
    Imported { manifest, problems }
}

/// Operators of other domains in the ONNX file, as far as it can be read.
fn foreign(s: &Settings, folder: &Path) -> std::collections::BTreeSet<String> {
    let file = s.text(MODEL, "onnx_model").map(|(path, _)| folder.join(path));
    let bytes = file.and_then(|f| std::fs::read(f).ok());
    bytes.and_then(|b| ptq_onnx::foreign_ops(&b, &ptq_onnx::Limits::default()).ok()).unwrap_or_default()
}

//! The nine light graphs of the `onnx` package with random weights: every intermediate tensor against ONNX Runtime.

use super::{read, run::parsed};
use crate::{oracle, workspace_root};
use ptq_exec::FloatPlan;
use ptq_ir::Tensor;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Names of the graphs.
pub const LIGHT: [&str; 9] = [
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
];

/// What was compared of one graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Weights that were replaced.
    pub weights: usize,
    /// Tensors that both computed.
    pub tensors: usize,
    /// Largest error of a tensor relative to its largest value, and the tensor's name.
    pub worst: (f64, String),
    /// Tensors of ours that ONNX Runtime does not have under that name.
    pub missing: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    weights: usize,
    input: String,
    tensors: BTreeMap<String, String>,
}

/// Runs one graph in ONNX Runtime and in the float plan.
///
/// # Errors
/// When the script fails or our path refuses the graph.
pub fn compare(name: &str) -> Result<Compared, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let output = Command::new(oracle::python()?)
        .arg(workspace_root().join("tests/conformance/light.py"))
        .args([Path::new("--name"), Path::new(name), Path::new("--out"), dir.path()])
        .output()
        .map_err(|e| format!("light.py does not start: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    let tensor = |file: &str| ptq_sample::read_npy(&read(&dir.path().join(file))?);
    let input = tensor("input.npy")?;
    let inputs = [(answer.input.as_str(), input.clone())].into();
    let graph = parsed(read(&dir.path().join("model.onnx"))?, &inputs)?;
    let plan = FloatPlan::new(&graph).map_err(|e| e.to_string())?.with_threads(2);
    let mut found = Compared { weights: answer.weights, ..Compared::default() };
    let mut problems = Vec::new();
    plan.run(&[input], &mut |id, ours| {
        let name = &graph.value(id).name;
        if *name == answer.input {
            return;
        }
        let Some(file) = answer.tensors.get(name) else { return found.missing.push(name.clone()) };
        match tensor(file).and_then(|theirs| error(ours, &theirs)) {
            Ok(error) if error.is_finite() && error <= found.worst.0 => {}
            Ok(error) => found.worst = (error, name.clone()),
            Err(why) => problems.push(format!("{name}: {why}")),
        }
        found.tensors += 1;
    })
    .map_err(|e| e.to_string())?;
    if problems.is_empty() { Ok(found) } else { Err(problems.join("\n")) }
}

fn error(ours: &Tensor, theirs: &Tensor) -> Result<f64, String> {
    if ours.shape() != theirs.shape() {
        return Err(format!("shape {:?}, ONNX Runtime's {:?}", ours.shape(), theirs.shape()));
    }
    let theirs = theirs.to_f64s();
    if theirs.iter().all(|&v| v == 0.0) || theirs.iter().any(|v| !v.is_finite()) {
        return Err("the weights leave nothing to compare".to_owned());
    }
    Ok(ptq_exec::metrics::max_relative_error(&ours.to_f64s(), &theirs))
}

//! Stock ONNX Runtime as an outside oracle, through the scripts in `tests/oracle`.

use crate::workspace_root;
use ptq_ir::Tensor;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The Python of the virtual environment that holds ONNX Runtime: `PTQ_ORACLE_PYTHON`, or `.venv` in the workspace.
///
/// # Errors
/// Says how to make the environment.
pub fn python() -> Result<PathBuf, String> {
    let path =
        std::env::var_os("PTQ_ORACLE_PYTHON").map_or_else(|| workspace_root().join(".venv/bin/python"), PathBuf::from);
    if path.exists() {
        Ok(path)
    } else {
        Err("no ONNX Runtime: python3 -m venv .venv && .venv/bin/pip install -r tests/oracle/requirements.txt".into())
    }
}

/// ONNX Runtime behind `tests/oracle/serve.py`: one process that answers one question a line.
pub struct Server {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// As [`python`].
    pub fn start() -> Result<Server, String> {
        let mut child = Command::new(python()?)
            .arg(workspace_root().join("tests/oracle/serve.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("the oracle does not start: {e}"))?;
        let answers = BufReader::new(child.stdout.take().ok_or("the oracle has no output")?);
        Ok(Server { child, answers })
    }

    /// Outputs of models on inputs (`.npy` files by name), flattened; NaN where one is not a finite number.
    ///
    /// # Errors
    /// What the oracle says.
    pub fn run(&mut self, models: &[&Path], inputs: &[(&str, &Path)]) -> Result<Vec<Vec<Vec<f64>>>, String> {
        let inputs: serde_json::Map<String, Value> =
            inputs.iter().map(|(n, p)| ((*n).to_owned(), p.to_string_lossy().into())).collect();
        let question = serde_json::json!({ "models": models, "inputs": inputs });
        let stdin = self.child.stdin.as_mut().ok_or("the oracle takes no questions")?;
        writeln!(stdin, "{question}").map_err(|e| e.to_string())?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| e.to_string())?;
        let answer: Value = serde_json::from_str(&line).map_err(|e| format!("{e}: {line:?}"))?;
        if let Some(error) = answer["error"].as_str() {
            return Err(error.to_owned());
        }
        let numbers = |v: &Value| v.as_array().into_iter().flatten().map(|n| n.as_f64().unwrap_or(f64::NAN)).collect();
        let outputs = |v: &Value| v.as_array().into_iter().flatten().map(numbers).collect();
        Ok(answer["outputs"].as_array().into_iter().flatten().map(outputs).collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its input ends, so it ends; waiting keeps no zombie behind.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs one subcommand of `tests/oracle/oracle.py` and returns the JSON object that it prints.
///
/// # Errors
/// The script's own error output.
pub fn ask<S: AsRef<OsStr>>(args: &[S]) -> Result<Value, String> {
    let output = Command::new(python()?)
        .arg(workspace_root().join("tests/oracle/oracle.py"))
        .args(args)
        .output()
        .map_err(|e| format!("the oracle does not start: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("the oracle's answer is not JSON: {e}"))
}

/// Runs a model with one input in ONNX Runtime and returns its first output. Modes: `default`, `exact` (integer kernels
/// without saturation), `unfused`.
///
/// # Errors
/// What the oracle says.
pub fn run(model: &Path, input: &str, value: &Tensor, mode: &str) -> Result<Tensor, String> {
    run_all(model, &[(input, value)], mode)?.into_iter().next().ok_or_else(|| "the model has no output".to_owned())
}

/// Runs a model in ONNX Runtime and returns its outputs in the model's order; modes as in [`run`].
///
/// # Errors
/// What the oracle says.
pub fn run_all(model: &Path, inputs: &[(&str, &Tensor)], mode: &str) -> Result<Vec<Tensor>, String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let out = dir.path().join("out");
    let mut args = ["run", "--model", &model.display().to_string(), "--mode", mode].map(str::to_owned).to_vec();
    args.extend(["--out".to_owned(), out.display().to_string()]);
    for (i, (name, value)) in inputs.iter().enumerate() {
        let file = dir.path().join(format!("input_{i}.npy"));
        std::fs::write(&file, ptq_sample::write_npy(value)?).map_err(|e| e.to_string())?;
        args.extend(["--input".to_owned(), format!("{name}={}", file.display())]);
    }
    let answer = ask(&args)?;
    let order = answer["order"].as_array().ok_or("the oracle does not order the outputs")?;
    let read = |name: &Value| {
        let file = name.as_str().and_then(|n| answer["outputs"][n]["file"].as_str()).ok_or("an output has no file")?;
        let path = out.join(file);
        ptq_sample::read_npy(&std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?)
    };
    order.iter().map(read).collect()
}

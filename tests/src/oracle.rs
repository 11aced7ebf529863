//! Stock ONNX Runtime as an outside oracle, through the scripts in `tests/oracle`.

use crate::workspace_root;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

/// The Python of the virtual environment that holds ONNX Runtime: `PTQ_ORACLE_PYTHON`, or `.venv` in the workspace.
///
/// # Errors
/// Says how to make the environment.
pub fn python() -> Result<PathBuf, String> {
    let path = std::env::var_os("PTQ_ORACLE_PYTHON")
        .map_or_else(|| workspace_root().join(".venv/bin/python"), PathBuf::from);
    if path.exists() {
        Ok(path)
    } else {
        Err("no ONNX Runtime: python3 -m venv .venv && .venv/bin/pip install -r tests/oracle/requirements.txt".into())
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

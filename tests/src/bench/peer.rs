//! ONNX Runtime in a process of its own that measures itself (`tests/oracle/peer.py`).

use crate::clock::Time;
use ptq_tests::{oracle, workspace_root};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Input files by name.
pub(crate) type Inputs = BTreeMap<String, PathBuf>;

/// The running process; it ends when this is dropped.
pub(crate) struct Peer {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the process.
    ///
    /// # Errors
    /// When there is no ONNX Runtime.
    pub(crate) fn start() -> Result<Peer, String> {
        let mut child = Command::new(oracle::python()?)
            .arg(workspace_root().join("tests/oracle/peer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("ONNX Runtime does not start: {e}"))?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("ONNX Runtime has no output")?);
        Ok(Peer { child, requests, answers })
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let pipe = self.requests.as_mut().ok_or("ONNX Runtime has no input")?;
        writeln!(pipe, "{request}").and_then(|()| pipe.flush()).map_err(|e| format!("ONNX Runtime: {e}"))?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| format!("ONNX Runtime: {e}"))?;
        let answer: Value = serde_json::from_str(&line).map_err(|e| format!("ONNX Runtime said {line:?}: {e}"))?;
        answer["error"].as_str().map_or(Ok(()), |e| Err(e.to_owned()))?;
        Ok(answer)
    }

    /// Restricts the process to these cores.
    ///
    /// # Errors
    /// What the process says.
    pub(crate) fn pin(&mut self, cores: &[usize]) -> Result<(), String> {
        self.ask(&json!({ "pin": cores })).map(drop)
    }

    /// Prepares a session under a name.
    ///
    /// # Errors
    /// What the process says.
    pub(crate) fn load(
        &mut self,
        id: &str,
        model: &Path,
        mode: &str,
        threads: usize,
        inputs: &Inputs,
    ) -> Result<(), String> {
        self.ask(&json!({ "load": id, "model": model, "mode": mode, "threads": threads, "inputs": inputs })).map(drop)
    }

    /// Forgets a session.
    ///
    /// # Errors
    /// What the process says.
    pub(crate) fn unload(&mut self, id: &str) -> Result<(), String> {
        self.ask(&json!({ "drop": id })).map(drop)
    }

    /// Runs a session this often.
    ///
    /// # Errors
    /// What the process says.
    pub(crate) fn run(&mut self, id: &str, repeats: usize) -> Result<Vec<Time>, String> {
        let answer = self.ask(&json!({ "run": id, "repeats": repeats }))?;
        let times: Vec<[f64; 2]> = serde_json::from_value(answer["times"].clone()).map_err(|e| e.to_string())?;
        Ok(times.into_iter().map(|[cpu, wall]| Time { cpu, wall }).collect())
    }

    /// Quantizes a float model in ONNX Runtime's own way.
    ///
    /// # Errors
    /// What the process says.
    pub(crate) fn quantize(&mut self, model: &Path, samples: &[Inputs], out: &Path) -> Result<(), String> {
        self.ask(&json!({ "quantize": model, "samples": samples, "out": out })).map(drop)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The process ends with its input.
        self.requests = None;
        let _ = self.child.wait();
    }
}

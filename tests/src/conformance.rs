//! Outside cases of single operators and small graphs, taken through our own path: parse, then the float plan.
//!
//! The cases are written by `tests/conformance/collect.py` into `target/conformance`, once for each state of the
//! scripts. [`cases`] reads them, [`judge`] runs them, [`page::render`] makes `docs/operators.md`.

mod compare;
pub mod light;
pub mod page;
mod run;
mod skip;

pub use run::{Verdict, judge};
pub use skip::Skip;

use crate::{oracle, workspace_root};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One outside case.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// `set-name`; also the name of its folder.
    pub name: String,
    /// Where it is from: `node`, `pytorch-operator`, `pytorch-converted`, `simple`, `generated`.
    pub set: String,
    /// Operators of its graph, each with the version of its schema.
    pub ops: Vec<(String, i64)>,
    /// Operator set of the standard domain.
    pub opset: i64,
    /// Element types of graph inputs and outputs, and `sequence`, `optional`, `map` for what is no tensor.
    pub types: Vec<String>,
    /// `random`, `training`, `data-dependent`.
    pub flags: Vec<String>,
    /// Graph inputs and their files.
    pub inputs: Vec<(String, Option<String>)>,
    /// Graph outputs and the files of the expected values.
    pub outputs: Vec<(String, Option<String>)>,
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance.
    pub atol: f64,
    /// Who gave the expected values.
    pub oracle: String,
}

#[derive(Deserialize)]
struct Index {
    cases: Vec<Case>,
    schemas: BTreeMap<String, Vec<i64>>,
}

/// Folder of the collected cases.
pub fn folder() -> PathBuf {
    workspace_root().join("target/conformance")
}

/// Files whose content decides the cases.
const SCRIPTS: &[&str] = &[
    "tests/conformance/collect.py",
    "tests/conformance/older.py",
    "tests/conformance/handmade.py",
    "tests/oracle/requirements.txt",
];

/// All cases, collected first if the scripts have changed since.
///
/// # Errors
/// When there is no Python environment or the script fails.
pub fn cases() -> Result<Vec<Case>, String> {
    let python = oracle::python()?;
    let stamp = stamp()?;
    let seen = folder().join("stamp");
    // Tests of one run are processes of their own: the first collects, the others wait.
    let held = folder().with_extension("lock");
    let lock = std::fs::create_dir_all(workspace_root().join("target"))
        .and_then(|()| File::create(&held))
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|e| format!("{}: {e}", held.display()))?;
    if std::fs::read_to_string(&seen).ok().as_deref() != Some(&stamp) {
        let output = Command::new(python)
            .arg(workspace_root().join(SCRIPTS[0]))
            .args([Path::new("--out"), &folder()])
            .output()
            .map_err(|e| format!("collect.py does not start: {e}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        std::fs::write(&seen, &stamp).map_err(|e| format!("{}: {e}", seen.display()))?;
    }
    drop(lock);
    Ok(index()?.cases)
}

/// Versions of every standard operator's schema that operator sets 7 to 28 mean. Needs the collected [`cases`].
///
/// # Errors
/// When the cases are not collected.
pub fn schemas() -> Result<BTreeMap<String, Vec<i64>>, String> {
    Ok(index()?.schemas)
}

fn index() -> Result<Index, String> {
    let text = read(&folder().join("cases.json"))?;
    serde_json::from_slice(&text).map_err(|e| format!("cases.json: {e}"))
}

fn stamp() -> Result<String, String> {
    let mut hash = Sha256::new();
    for script in SCRIPTS {
        hash.update(read(&workspace_root().join(script))?);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

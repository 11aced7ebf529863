//! The Python that runs the export scripts: `PTQ_ORACLE_PYTHON`, or the virtual environment that the outside oracle uses
//! too, made here when it is missing.

use crate::command::run;
use crate::error::{FetchError, Result, at};
use std::path::{Path, PathBuf};

const ADVICE: &str =
    "install Python 3.11 or newer with venv, or name a Python that has the packages by PTQ_ORACLE_PYTHON";

/// A Python with the packages of `tests/oracle/requirements.txt`.
pub(crate) fn python(root: &Path) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("PTQ_ORACLE_PYTHON") {
        return Ok(given.into());
    }
    let folder = root.join(".venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let requirements = root.join("tests/oracle/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).map_err(at(&requirements))?;
    let stamp = folder.join("requirements.txt");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    let purpose = ("make the virtual environment", ADVICE);
    let made = run("python3", &["-m", "venv", ".venv"], root, "", purpose)?;
    if !made.success {
        let said = if made.said.is_empty() { made.stdout } else { made.said };
        return Err(FetchError::Step { step: "python3 -m venv .venv".into(), said });
    }
    let pip = [
        "-m".as_ref(),
        "pip".as_ref(),
        "install".as_ref(),
        "--quiet".as_ref(),
        "-r".as_ref(),
        requirements.as_os_str(),
    ];
    let installed = run(&python, &pip, root, "", purpose)?;
    if !installed.success {
        return Err(FetchError::Download {
            package: "the packages of tests/oracle/requirements.txt".into(),
            said: installed.said,
        });
    }
    std::fs::write(&stamp, wanted).map_err(at(&stamp))?;
    Ok(python)
}

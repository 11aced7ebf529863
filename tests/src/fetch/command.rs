//! Running other programs, quietly: their output is shown only where they fail.

use crate::error::{FetchError, Result};
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a program ended.
pub(crate) struct Ended {
    /// Whether it succeeded.
    pub(crate) success: bool,
    /// Standard output.
    pub(crate) stdout: String,
    /// The last lines of its error output that say something.
    pub(crate) said: String,
}

/// Runs a program in a folder with this text on its standard input. `purpose` and `advice` are for the case that it is
/// not installed.
pub(crate) fn run<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: &[S],
    folder: &Path,
    input: &str,
    (purpose, advice): (&str, &'static str),
) -> Result<Ended> {
    let program = program.as_ref();
    let absent = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            FetchError::Absent { program: program.to_string_lossy().into_owned(), purpose: purpose.to_owned(), advice }
        }
        _ => FetchError::File { path: program.into(), error },
    };
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(absent)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading says why on its error output.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(absent)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = errors.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("W:")).collect();
    Ok(Ended {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        said: lines[lines.len().saturating_sub(2)..].join("; "),
    })
}

//! One file a command.

pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod dump;
pub(crate) mod explain;
pub(crate) mod info;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod variants;
pub(crate) mod verify;

use crate::args::Global;
use crate::failure::Failure;
use ptq_engine::Project;
use std::path::Path;

/// Opens the project that the global options name.
fn project(global: &Global) -> Result<Project, Failure> {
    Ok(Project::open(&global.manifest, &global.define)?)
}

/// Reads a file that the user named.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))
}

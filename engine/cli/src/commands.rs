//! One file a command.

pub(crate) mod analyze;
pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
mod custom;
pub(crate) mod dump;
pub(crate) mod eval;
pub(crate) mod exec_stage;
pub(crate) mod explain;
pub(crate) mod graph;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod log;
mod measure;
pub(crate) mod ops;
pub(crate) mod pack;
pub(crate) mod perf;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod slurm_script;
pub(crate) mod variants;
pub(crate) mod verify;
pub(crate) mod watch;
pub(crate) mod why_differs;

use crate::args::Global;
use crate::failure::Failure;
use ptq_engine::Project;
use ptq_engine::manifest::Overlay;
use ptq_march::March;
use std::path::Path;

/// Opens the project that the global options name.
fn project(global: &Global) -> Result<Project, Failure> {
    Ok(Project::open_with(&global.manifest, &overlay(global), ptq_engine::rules())?)
}

/// What the global options lay over the manifest.
fn overlay(global: &Global) -> Overlay {
    Overlay {
        define: global.define.clone(),
        profile: global.profile.clone(),
        store: global.store.clone(),
        ..Overlay::default()
    }
}

/// The march that a variant names; the path of a file begins at the manifest's folder.
fn march_of(global: &Global, named: &str) -> Result<March, Failure> {
    match (named.ends_with(".toml"), global.manifest.parent()) {
        (true, Some(folder)) => load_march(&folder.join(named).display().to_string()),
        _ => load_march(named),
    }
}

/// Reads a file that the user named.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))
}

/// Writes a file that the user asked for; one that exists only with `--force`.
fn write_new(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    if path.exists() && !force {
        let what = format!("error: {} exists\n  help: --force overwrites it, -o names another file", path.display());
        return Err(Failure::Usage(what));
    }
    std::fs::write(path, text).map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))
}

/// Text of a built-in march, or of the march file at this path.
fn march_text(name: &str) -> Result<String, Failure> {
    match ptq_march::source(name) {
        Some(text) => Ok(text.into_owned()),
        None if name.ends_with(".toml") => Ok(String::from_utf8_lossy(&read(name.as_ref())?).into_owned()),
        None => {
            let known: Vec<&str> = ptq_march::names().collect();
            Err(Failure::Usage(format!("error: there is no march {name:?}\n  help: built in: {}", known.join(", "))))
        }
    }
}

/// A built-in march, or the march file at this path.
fn load_march(name: &str) -> Result<March, Failure> {
    March::from_toml(&march_text(name)?)
        .map_err(|p| Failure::Failed(p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

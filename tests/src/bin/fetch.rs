//! Brings the models and data that are too large or not ours to commit: `cargo run -p ptq-tests --bin fetch`.
//!
//! Reads `tests/fetch/assets.toml`, downloads the packages whose files are missing in the git-ignored folder `assets/`,
//! makes the assets and checks every SHA-256. With `PTQ_ASSETS` set it copies them from that folder instead. Where
//! everything is there it does nothing. `--offline` forbids downloads.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../fetch/command.rs"]
mod command;
#[path = "../fetch/declaration.rs"]
mod declaration;
#[path = "../fetch/digest.rs"]
mod digest;
#[path = "../fetch/error.rs"]
mod error;
#[path = "../fetch/given_folder.rs"]
mod given_folder;
#[path = "../fetch/make.rs"]
mod make;
#[path = "../fetch/package.rs"]
mod package;
#[path = "../fetch/python.rs"]
mod python;
#[path = "../fetch/set.rs"]
mod set;

use declaration::Declaration;
use error::{FetchError, Result, at};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let offline = args.iter().any(|a| a == "--offline");
    if let Some(unknown) = args.iter().find(|a| *a != "--offline") {
        eprintln!("fetch: unknown argument {unknown}; usage: fetch [--offline]");
        return ExitCode::from(2);
    }
    match fetch(offline) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fetch: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what is needed and says what was done.
fn fetch(offline: bool) -> Result<String> {
    let root = ptq_tests::workspace_root();
    let (scripts, target) = (root.join("tests/fetch"), root.join("assets"));
    let declaration = Declaration::read(&scripts)?;
    if let Some(folder) = std::env::var_os("PTQ_ASSETS").map(PathBuf::from).filter(|f| *f != target) {
        let taken = given_folder::take(&declaration, &folder, &target)?;
        let (all, there) = (taken.files, taken.files - taken.copied);
        let summary = format!("assets: {} of {all} copied from {}, {there} were there", taken.copied, folder.display());
        let made = sets(&declaration, Some(&folder), offline)?;
        return Ok(format!(
            "{summary}; {} have the pinned SHA-256, the others are taken as they are{made}",
            taken.pinned
        ));
    }
    let mut missing = Vec::new();
    for asset in &declaration.assets {
        if !digest::is_pinned(&target.join(&asset.destination), &asset.sha256)? {
            missing.push(asset);
        }
    }
    if let (true, Some(first)) = (offline, missing.first()) {
        return Err(FetchError::Offline { count: missing.len(), first: first.destination.clone() });
    }
    if !missing.is_empty() {
        let python = python::python(&root)?;
        make::make(&declaration, &missing, (&scripts, &python, &target), &|line| println!("{line}"))?;
    }
    for labels in &declaration.labels {
        let path = target.join(&labels.destination);
        if std::fs::read_to_string(&path).is_ok_and(|have| have == labels.text) {
            continue;
        }
        make::create_parent(&path)?;
        std::fs::write(&path, &labels.text).map_err(at(&path))?;
    }
    let made = sets(&declaration, None, offline)?;
    let all = declaration.assets.len() + declaration.labels.len();
    Ok(format!(
        "assets: {} of {all} files made, the others were there; all have the pinned SHA-256{made}",
        missing.len()
    ))
}

/// Copies or makes the sets that are not there and says which.
fn sets(declaration: &Declaration, given: Option<&std::path::Path>, offline: bool) -> Result<String> {
    let root = ptq_tests::workspace_root();
    let (scripts, target) = (root.join("tests/fetch"), root.join("assets"));
    let mut made = String::new();
    for wanted in &declaration.sets {
        let stamp = set::stamp(declaration, wanted, &scripts)?;
        if set::is_there(wanted, &stamp, &target) {
            continue;
        }
        if let Some(folder) = given.filter(|folder| set::is_there(wanted, &stamp, folder)) {
            set::install(wanted, &stamp, &folder.join("data"), &target)?;
        } else if offline {
            return Err(FetchError::Offline { count: wanted.folders.len(), first: wanted.stamp.clone() });
        } else {
            let python = python::python(&root)?;
            set::make(declaration, wanted, &stamp, (&scripts, &python, &target), &|line| println!("{line}"))?;
        }
        made += &format!("; {} made", wanted.folders.keys().cloned().collect::<Vec<_>>().join(", "));
    }
    Ok(made)
}

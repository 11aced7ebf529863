//! The `ptq` program as a user starts it.

use crate::workspace_root;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Session {
    /// Exit code; -1 when ended by a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Path of the program, built in the profile of the tests on first use.
///
/// # Panics
/// When it does not build.
pub fn program() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--quiet", "--package", "ptq", "--message-format", "json"]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        if cfg!(feature = "s3") {
            command.args(["--features", "s3"]);
        }
        executable(&mut command)
    })
}

/// Path of the program as workers of a cluster run it: static, without anything for remotes, built on first use. `PTQ_WORKER`
/// names one that was built before.
///
/// # Panics
/// When it does not build.
pub fn static_program() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(given) = std::env::var_os("PTQ_WORKER") {
            return given.into();
        }
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--quiet", "--package", "ptq", "--no-default-features", "--message-format", "json"]);
        // A folder of its own, and dependencies as the profile has them: nothing of the other builds is made again.
        command.args(["--target", &target]).env(flags, "-C target-feature=+crt-static");
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        executable(command.env_remove("RUSTFLAGS"))
    })
}

/// Builds `ptq` and returns where it is.
fn executable(command: &mut Command) -> PathBuf {
    // What cargo tells this process of its own package; some build scripts run again when it changes.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| own(name)) {
        command.env_remove(name);
    }
    let output = command.current_dir(workspace_root()).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|m| m["target"]["name"] == "ptq")
        .find_map(|m| m["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the program")
}

/// Runs `ptq ARGS` in a folder.
///
/// # Panics
/// When the program does not start.
pub fn ptq(dir: &Path, args: &[&str]) -> Session {
    ptq_with(dir, args, &[])
}

/// Runs `ptq ARGS` in a folder with these environment variables besides the test's own.
///
/// # Panics
/// When the program does not start.
pub fn ptq_with(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Session {
    let mut command = Command::new(program());
    let output = command.args(args).envs(env.iter().copied()).current_dir(dir).output().expect("ptq starts");
    Session {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `ptq build ARGS --events …` and returns the stages that really ran, as `variant:stage`, sorted.
///
/// # Panics
/// When the build fails or its events cannot be read.
pub fn ran(dir: &Path, args: &[&str]) -> Vec<String> {
    ran_with(dir, args, &[])
}

/// As [`ran`], with these environment variables besides the test's own.
///
/// # Panics
/// As [`ran`].
pub fn ran_with(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    let mut all = vec!["build", "--events", "events.jsonl"];
    all.extend(args);
    let session = ptq_with(dir, &all, env);
    assert_eq!(session.code, 0, "{}{}", session.stdout, session.stderr);
    let text = std::fs::read_to_string(dir.join("events.jsonl")).expect("events");
    let events = text.lines().map(|l| serde_json::from_str::<Value>(l).expect("one JSON object a line"));
    let mut out: Vec<String> = events
        .filter(|e| e["event"] == "ran")
        .map(|e| format!("{}:{}", e["variant"].as_str().unwrap_or("-"), e["stage"].as_str().unwrap_or("-")))
        .collect();
    out.sort();
    out
}

/// Every file of an output folder, by `variant/name`; none where the folder is not there yet.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for variant in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(variant.path()).into_iter().flatten().flatten() {
            let name = format!("{}/{}", variant.file_name().to_string_lossy(), file.file_name().to_string_lossy());
            // A watch may be replacing it right now.
            out.insert(name, std::fs::read(file.path()).unwrap_or_default());
        }
    }
    out
}

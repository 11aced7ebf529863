//! buildbox-casd: CAS, ActionCache and, with bubblewrap, Execution, in memory of one folder.

use super::{Server, installed, system_program};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder of the programs in the environment, below `lib/python3.N/`.
const BUILDBOX: &str = "site-packages/buildstream/subprojects/buildbox";
/// Actions at a time.
const JOBS: &str = "2";

/// Where the programs are.
fn buildbox() -> Result<PathBuf, String> {
    let lib = installed("buildbox-casd", "lib")?;
    let pythons = std::fs::read_dir(&lib).map_err(|e| e.to_string())?.flatten().map(|e| e.path().join(BUILDBOX));
    let mut found: Vec<PathBuf> = pythons.filter(|p| p.join("buildbox-casd").is_file()).collect();
    found.pop().ok_or_else(|| "no buildbox-casd: tests/servers/install".into())
}

/// Starts it as a cache, `grpc://`, any client may write.
///
/// # Errors
/// Says what is not installed, or what the server said.
pub fn cache() -> Result<Server, String> {
    start(&[])
}

/// Starts it with these options besides the folder, the port and the quota: `--read-only-remote`, `--cas-remote URL`, ….
///
/// # Errors
/// As [`cache`].
pub fn with(options: &[&str]) -> Result<Server, String> {
    start(&options.iter().map(OsString::from).collect::<Vec<_>>())
}

/// Starts it with execution, two actions at a time, each in a root of its own that holds its inputs alone.
///
/// # Errors
/// As [`cache`].
pub fn execution() -> Result<Server, String> {
    system_program("bubblewrap", "bwrap")?;
    let run = buildbox()?.join("buildbox-run");
    start(&["--buildbox-run".into(), run.into(), "--jobs".into(), JOBS.into()])
}

fn start(options: &[OsString]) -> Result<Server, String> {
    let (folder, options) = (buildbox()?, options.to_vec());
    let command = move |dir: &Path, port: u16| {
        let mut command = Command::new(folder.join("buildbox-casd"));
        // It looks for its helpers there.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = std::iter::once(folder.clone()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(dirs).unwrap_or(path.clone()));
        command.args(["--bind", &format!("127.0.0.1:{port}"), "--quota-high", "2G"]).args(&options);
        command.arg(dir.join("cache"));
        command
    };
    Server::start("buildbox-casd", |_, _| Ok(()), command)
}

//! Programs of the manifest: run with a cleared environment, in a folder, within limits. Called by `stage.rs`, `external.rs` and
//! `tools.rs`; nothing else of the engine starts a program.

use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lines of a program's complaint that an error repeats.
const LINES: usize = 12;
/// Bytes of what a program says that are kept, at the end; it may say no more than 64 times as much.
const SAID: u64 = 1 << 20;
/// How often a running program is looked at, at first and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));
/// How often the size of its folder is looked at.
const WEIGH: Duration = Duration::from_millis(500);

/// One program to run.
pub(crate) struct Run<'a> {
    /// Program and arguments.
    pub(crate) words: &'a [OsString],
    /// Where it runs.
    pub(crate) folder: &'a Path,
    /// Its environment besides `PATH`.
    pub(crate) env: &'a BTreeMap<String, String>,
    /// When it is ended.
    pub(crate) time_limit: Duration,
    /// Most bytes in its folder.
    pub(crate) max_bytes: u64,
    /// Whether nobody wants its result any more.
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

/// What a program said.
pub(crate) struct Said {
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// Why a program gave nothing; reads behind the program's name.
#[derive(Debug)]
pub(crate) enum Broken {
    NotStarted(std::io::Error),
    Status(ExitStatus, String),
    Late(Duration, String),
    Large(u64),
    Loud,
    Cancelled,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::NotStarted(e) => write!(f, "does not start: {e}"),
            Broken::Status(status, said) => write!(f, "ended with {status}{}", last(said)),
            Broken::Late(limit, said) => write!(f, "took longer than {} s{}", limit.as_secs(), last(said)),
            Broken::Large(most) => write!(f, "wrote more than {most} bytes"),
            Broken::Loud => write!(f, "printed more than {} bytes", SAID * 64),
            Broken::Cancelled => write!(f, "was ended, because an input has changed"),
        }
    }
}

/// The last lines of a complaint, on lines of their own.
fn last(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|l| format!("\n{l}")).collect()
}

impl Run<'_> {
    /// Runs the program to its end, or ends it with all that it started.
    ///
    /// # Errors
    /// Why there is nothing to use.
    pub(crate) fn run(&self) -> Result<Said, Broken> {
        let (mut out, mut err) = (scratch().map_err(Broken::NotStarted)?, scratch().map_err(Broken::NotStarted)?);
        let (program, arguments) = self.words.split_first().ok_or_else(|| {
            Broken::NotStarted(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it names no program"))
        })?;
        let stdio = |file: &File| file.try_clone().map(Stdio::from).map_err(Broken::NotStarted);
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder).env_clear().envs(self.env);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::null()).stdout(stdio(&out)?).stderr(stdio(&err)?).process_group(0);
        let mut child = command.spawn().map_err(Broken::NotStarted)?;
        let group = Pid::from_child(&child);
        let ended = self.attend(&mut child, &out, &err);
        // Also after a good end: what it left running must not write into its results.
        let _ = kill_process_group(group, Signal::KILL);
        if ended.is_err() {
            let _ = child.wait();
        }
        let said = Said { out: text(&mut out), err: text(&mut err) };
        match ended {
            Ok(status) if status.success() => Ok(said),
            Ok(status) => Err(Broken::Status(status, said.err)),
            Err(Broken::Late(limit, _)) => Err(Broken::Late(limit, said.err)),
            Err(broken) => Err(broken),
        }
    }

    fn attend(&self, child: &mut std::process::Child, out: &File, err: &File) -> Result<ExitStatus, Broken> {
        let start = Instant::now();
        let (mut wait, mut weighed) = (LOOK.0, start);
        loop {
            if let Some(status) = child.try_wait().map_err(Broken::NotStarted)? {
                return Ok(status);
            }
            if (self.cancelled)() {
                return Err(Broken::Cancelled);
            }
            if start.elapsed() >= self.time_limit {
                return Err(Broken::Late(self.time_limit, String::new()));
            }
            if weighed.elapsed() >= WEIGH {
                if weight(self.folder) > self.max_bytes {
                    return Err(Broken::Large(self.max_bytes));
                }
                if [out, err].iter().any(|f| f.metadata().is_ok_and(|m| m.len() > SAID * 64)) {
                    return Err(Broken::Loud);
                }
                weighed = Instant::now();
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(LOOK.1);
        }
    }
}

/// A file without a name.
fn scratch() -> std::io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("ptq-said-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// The end of a file as text.
fn text(file: &mut File) -> String {
    let length = file.metadata().map_or(0, |m| m.len());
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(length.saturating_sub(SAID)));
    let _ = read.and_then(|_| file.take(SAID).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Bytes of all files below a folder; links are not followed.
pub(crate) fn weight(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => weight(&entry.path()),
        Ok(_) => entry.metadata().map_or(0, |m| m.len()),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

/// Words of a command, those that are files below `root` as absolute paths.
pub(crate) fn absolute(words: &[String], root: &Path) -> std::io::Result<Vec<OsString>> {
    let root = root.canonicalize()?;
    let word = |w: &String| if root.join(w).is_file() { root.join(w).into() } else { OsString::from(w) };
    Ok(words.iter().map(word).collect())
}

/// Where a program is: a path as it is, a name in a folder of `PATH`.
pub(crate) fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration, max_bytes: u64) -> Result<Said, Broken> {
        let folder = tempfile::tempdir().expect("a folder");
        let words = ["sh", "-c", script].map(OsString::from);
        let (env, cancelled) = (BTreeMap::from([("A".to_owned(), "1".to_owned())]), || false);
        Run { words: &words, folder: folder.path(), env: &env, time_limit: limit, max_bytes, cancelled: &cancelled }
            .run()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_sees_its_variables_and_its_complaint_is_kept() {
        let said = shell("echo $A$HOME; echo no >&2", MINUTE, 9).expect("runs");
        assert_eq!((said.out.as_str(), said.err.as_str()), ("1\n", "no\n"));
        let broken = shell("echo why >&2; exit 3", MINUTE, 9).err().expect("fails").to_string();
        assert!(broken.contains("exit status: 3") && broken.ends_with("\nwhy"), "{broken}");
    }

    #[test]
    fn limits_end_a_program_with_all_that_it_started() {
        let start = Instant::now();
        let late = shell("sleep 50 & sleep 50", Duration::from_millis(1200), 9).err().expect("late").to_string();
        let large = shell("sleep 50 & echo 1234567890 > f; wait", MINUTE, 9).err().expect("large").to_string();
        assert!(late.contains("took longer than 1 s") && large.contains("more than 9 bytes"), "{late} {large}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

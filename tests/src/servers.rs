//! Real servers for the remote suites: each is started in a temporary folder on a free port of the loopback, and ended
//! with all that it started when dropped. Python ones come from `.servers` (`PTQ_SERVERS` names another folder), the
//! others from the system; `tests/servers/install` brings both. Suites ask with [`crate::skip::need`].

pub mod buildgrid;
pub mod casd;
pub mod nginx;
pub mod s3;
pub mod slurm;

use crate::workspace_root;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a server to answer. Machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(180);
/// Tries, since somebody else may take a free port before the server does.
const TRIES: usize = 3;

/// A started process and its folder.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command as the head of a process group of its own, its output in `log`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &mut Command, log: &Path) -> Result<Process, String> {
        let shown = command.get_program().to_string_lossy().into_owned();
        let file = File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let both = file.try_clone().map_err(|e| e.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(both).process_group(0).spawn();
        Ok(Process { child: child.map_err(|e| format!("{shown} does not start: {e}"))?, log: log.to_owned() })
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it with all that it started, at once: what a crash does.
    pub fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What starts a server: its command for a folder and a port.
type Starter = Box<dyn Fn(&Path, u16) -> Command + Send>;

/// A server: its process, its folder, where it listens.
pub struct Server {
    process: Process,
    folder: tempfile::TempDir,
    port: u16,
    again: Starter,
}

impl Server {
    /// Starts what `command` makes of a folder and a port, and waits until it takes connections.
    ///
    /// # Errors
    /// When it ends or does not answer in time, with what it said.
    pub fn start(
        name: &str,
        prepare: impl Fn(&Path, u16) -> std::io::Result<()>,
        command: impl Fn(&Path, u16) -> Command + Send + 'static,
    ) -> Result<Server, String> {
        let mut said = String::new();
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
            let port = free_port()?;
            prepare(folder.path(), port).map_err(|e| format!("{name}: {e}"))?;
            let mut process = Process::start(&mut command(folder.path(), port), &folder.path().join("log"))?;
            if answers(&mut process, port) {
                return Ok(Server { process, folder, port, again: Box::new(command) });
            }
            said = process.said();
        }
        Err(format!("{name} does not start: {said}"))
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `SCHEME://127.0.0.1:PORT`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Ends it at once; its folder stays, see [`Server::restart`].
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again in its folder, on its port.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&mut self) -> Result<(), String> {
        self.process.kill();
        let log = self.folder.path().join("log");
        self.process = Process::start(&mut (self.again)(self.folder.path(), self.port), &log)?;
        if answers(&mut self.process, self.port) { Ok(()) } else { Err(self.process.said()) }
    }
}

/// A port that nobody has at the moment.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

/// Waits until a port takes connections, or the process ends.
fn answers(process: &mut Process, port: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE && process.runs() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return process.runs();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// A file of the folder with Python servers.
///
/// # Errors
/// Says how to install it.
pub(crate) fn installed(what: &str, relative: &str) -> Result<PathBuf, String> {
    let root = std::env::var_os("PTQ_SERVERS").map_or_else(|| workspace_root().join(".servers"), PathBuf::from);
    let path = root.join(relative);
    if path.exists() { Ok(path) } else { Err(format!("no {what}: tests/servers/install")) }
}

/// A program of the system, also of its administrators.
///
/// # Errors
/// Says how to install it.
pub(crate) fn system_program(what: &str, name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|dir| dir.join(name)).find(|p| p.is_file());
    found.ok_or_else(|| format!("no {what} ({name}): tests/servers/install"))
}

//! Slurm on one node: munged, slurmctld and slurmd of our own, beside whatever the machine has.

use super::{Process, free_port, system_program};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest wait for the node.
const PATIENCE: Duration = Duration::from_secs(180);

/// A cluster of this machine alone.
pub struct Slurm {
    _daemons: Vec<Process>,
    folder: tempfile::TempDir,
}

impl Slurm {
    /// Starts it and waits until the node takes jobs.
    ///
    /// # Errors
    /// Says what is not installed, or what the daemons said.
    pub fn start() -> Result<Slurm, String> {
        let [munged, slurmctld, slurmd] = ["munged", "slurmctld", "slurmd"].map(|name| system_program("Slurm", name));
        let (munged, slurmctld, slurmd) = (munged?, slurmctld?, slurmd?);
        for client in ["sbatch", "sinfo", "squeue"] {
            system_program("Slurm", client)?;
        }
        if !rustix::process::getuid().is_root() {
            return Err("no Slurm: its node daemon needs root".into());
        }
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let dir = folder.path();
        prepare(dir).map_err(|e| format!("Slurm: {e}"))?;
        let mut daemons = Vec::new();
        let mut command = Command::new(munged);
        let own = |name: &str| dir.join("munge").join(name);
        command.args(["--foreground", "--force", "--num-threads", "2"]);
        for (option, file) in [
            ("--key-file", "key"),
            ("--socket", "socket"),
            ("--pid-file", "pid"),
            ("--log-file", "log"),
            ("--seed-file", "seed"),
        ] {
            command.arg(format!("{option}={}", own(file).display()));
        }
        daemons.push(Process::start(&mut command, &dir.join("munged.log"))?);
        wait("munged", dir, || own("socket").exists())?;
        for (program, name) in [(slurmctld, "slurmctld"), (slurmd, "slurmd")] {
            let mut command = Command::new(program);
            command.arg("-D").arg("-f").arg(dir.join("slurm.conf"));
            daemons.push(Process::start(&mut command, &dir.join(format!("{name}.log")))?);
        }
        let slurm = Slurm { _daemons: daemons, folder };
        let idle = || slurm.client("sinfo", &["-h", "-o", "%T"]).is_ok_and(|s| s.trim() == "idle");
        wait("Slurm's node", slurm.folder.path(), idle)?;
        Ok(slurm)
    }

    /// Folder of the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Value of `SLURM_CONF` for clients.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// What a client prints.
    ///
    /// # Errors
    /// What it complains of.
    pub fn client(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(system_program("Slurm", program)?);
        let output = command.args(args).env("SLURM_CONF", self.configuration()).output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Waits until a job and its tasks have left the queue.
    ///
    /// # Errors
    /// When they do not in time.
    pub fn wait_for(&self, job: &str, patience: Duration) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < patience {
            // A job that has left the controller's memory is an error to ask for.
            if self.client("squeue", &["-h", "-j", job]).unwrap_or_default().trim().is_empty() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(format!("job {job} is still there: {}", self.client("squeue", &[]).unwrap_or_else(|e| e)))
    }
}

/// Waits for something, or says what the logs say.
fn wait(what: &str, dir: &Path, there: impl Fn() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if there() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = ["munged", "slurmctld", "slurmd"].map(|name| {
        let log = std::fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    });
    Err(format!("{what} does not come up: {}", said.join("\n")))
}

fn prepare(dir: &Path) -> std::io::Result<()> {
    for name in ["munge", "state", "spool"] {
        std::fs::create_dir_all(dir.join(name))?;
    }
    let key = dir.join("munge/key");
    // Whoever reads the folder may use this cluster; it lives as long as a test.
    std::fs::write(&key, std::iter::repeat_n(*b"a key of a test ", 64).flatten().collect::<Vec<u8>>())?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400))?;
    std::fs::set_permissions(dir.join("munge"), std::fs::Permissions::from_mode(0o755))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?;
    let port = || free_port().map_err(std::io::Error::other);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    let host = host.trim().split('.').next().unwrap_or("localhost");
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let d = dir.display();
    std::fs::write(
        dir.join("slurm.conf"),
        format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nAuthType=auth/munge\n\
             AuthInfo=socket={d}/munge/socket\nCryptoType=crypto/munge\nStateSaveLocation={d}/state\n\
             SlurmdSpoolDir={d}/spool\nSlurmctldPidFile={d}/slurmctld.pid\nSlurmdPidFile={d}/slurmd.pid\n\
             SlurmctldPort={}\nSlurmdPort={}\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nMpiDefault=none\nReturnToService=2\n\
             MaxArraySize=20001\nMaxJobCount=30000\nMinJobAge=300\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN\n\
             PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n",
            port()?,
            port()?
        ),
    )
}

//! Arguments of the commands for clusters.

use super::Select;
use clap::Args as ClapArgs;
use std::path::PathBuf;

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  ptq exec-stage step out --threads 2\n\nReads step/step.json and the files that it names, writes out/answer.json and the files that it names.\nExit codes: 0 answered, 1 the rule found problems, 2 this worker cannot run it"
)]
pub(crate) struct ExecStage {
    /// Folder with step.json
    pub(crate) input: PathBuf,
    /// Folder for answer.json
    pub(crate) output: PathBuf,
    /// Threads inside the step; never changes a result
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) threads: u8,
}

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  ptq slurm-script > sweep.sh && sbatch sweep.sh\n  ptq slurm-script 'lite0-*' --tasks 50 --cpus 4 --time 2:00:00 -o sweep.sh\n  ptq slurm-script --scratch '$TMPDIR'          a store on each node; results meet in cache.remote\n\nTasks share the manifest's store, which must be on a folder that all nodes see, or the manifest's cache.remote.\ndocs/remote-execution.md says when which."
)]
pub(crate) struct SlurmScript {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Tasks of the array; one a variant when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tasks: Option<u32>,
    /// Most tasks that run at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) at_once: Option<u32>,
    /// Processors of a task
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) cpus: u32,
    /// Memory of a task, as sbatch takes it
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Time limit of a task, as sbatch takes it
    #[arg(long, value_name = "TIME")]
    pub(crate) time: Option<String>,
    /// Partition
    #[arg(long, value_name = "NAME")]
    pub(crate) partition: Option<String>,
    /// Folder on each node for a store of its own, variables allowed
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<String>,
    /// The program on the nodes; this one when not given
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// File to write; the terminal when not given
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
}

//! Arguments: one definition for parsing, help and shell completions.

mod analyze;
mod cache;
mod cluster;
mod perf;

pub(crate) use analyze::Analyze;
pub(crate) use cache::{Cache, CacheAction};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
pub(crate) use cluster::{ExecStage, SlurmScript};
pub(crate) use perf::Perf;
use std::path::PathBuf;

/// Turns float ONNX models into int8 and explains every step.
#[derive(Parser)]
#[command(
    name = "ptq",
    version,
    propagate_version = true,
    after_help = "Examples:\n  ptq build                       build every variant of ptq.toml\n  ptq build 'fashion-*' -v        some variants, with reasons\n  ptq check model.onnx --march bayes\n  ptq verify fashion-cpu\n\nExit codes: 0 done, 1 failed, 2 usage or manifest error, 3 work found by --dry-run --exit-code, 101 a bug"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, ClapArgs)]
pub(crate) struct Global {
    /// Run as if started in this folder
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Manifest to read
    #[arg(long, value_name = "FILE", default_value = "ptq.toml", global = true)]
    pub(crate) manifest: PathBuf,
    /// Lay a value over every variant, such as calibration.type=kl
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value, global = true)]
    pub(crate) define: Vec<(String, String)>,
    /// Lay [profile.NAME] of the manifest over every variant
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,
    /// Folder of the store, instead of the manifest's
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) store: Option<PathBuf>,
    /// Say more: why each stage ran
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Say only what failed
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// When to colour
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,
}

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a commented manifest for a model
    Init(Init),
    /// Turn a Horizon YAML file into a manifest
    Import(Import),
    /// Make what is missing
    Build(Build),
    /// List what the manifest expands to
    Variants(Variants),
    /// Say what the last build of a variant did, what the next would do, and why
    Explain(Explain),
    /// Say what makes two variants, or two builds of one, different
    WhyDiffers(WhyDiffers),
    /// Draw the actions behind variants: what they share, what is missing
    Graph(Graph),
    /// List past builds of a variant
    Log(Log),
    /// Put variants beside each other: accuracy, size, nodes; builds what is missing
    Compare(Compare),
    /// Say where every node would run, and why; needs no data
    Check(Check),
    /// Run a compiled model on inputs
    Run(Run),
    /// Compare all stages of a variant and name the first node where they diverge
    Verify(Verify),
    /// Measure a variant at its own task, on the evaluation data of the manifest
    Eval(Eval),
    /// Say how long a compiled model takes, and why: predicted for an accelerator, measured for this processor
    Perf(Perf),
    /// Say which nodes lose accuracy, and which settings would help; builds what is missing
    Analyze(Analyze),
    /// Show inputs and outputs of an ONNX file or a compiled model
    Info(Info),
    /// Print a compiled model as readable assembly
    Dump(Dump),
    /// Put several compiled models into one file
    Pack(Pack),
    /// List what a march does with every operator, and under which limits
    Ops(Ops),
    /// Print the page of a rule, or list all rules
    Rule(Rule),
    /// Look after the store
    Cache(Cache),
    /// Print a script for Slurm that builds variants as an array of jobs
    SlurmScript(SlurmScript),
    /// Run one step of one action in a folder, as workers of a cluster do; docs/remote-execution.md
    #[command(hide = true)]
    ExecStage(ExecStage),
    /// Print completions for a shell
    Completions(Completions),
}

/// Which variants.
#[derive(ClapArgs)]
pub(crate) struct Select {
    /// Variants: names and patterns with *, narrowed by key=value; all when none is given
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Only variants of this march
    #[arg(long, value_name = "NAME")]
    pub(crate) march: Option<String>,
    /// Only variants of this optimization level, such as O3
    #[arg(short = 'O', value_name = "LEVEL")]
    pub(crate) level: Option<String>,
}

impl Select {
    /// All of it as selectors.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut out = self.selectors.clone();
        out.extend(self.march.iter().map(|m| format!("march={m}")));
        out.extend(self.level.iter().map(|l| format!("optimize_level=O{}", l.trim_start_matches('O'))));
        out
    }
}

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  ptq build\n  ptq build 'lite0-*' --march bayes -O3 --jobs 4\n  ptq build --dry-run --exit-code"
)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Say what would run, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: exit with 3 when something would run
    #[arg(long, requires = "dry_run")]
    pub(crate) exit_code: bool,
    /// Run this stage again even if its result is remembered
    #[arg(long, value_name = "STAGE", value_parser = stage_name)]
    pub(crate) force: Vec<String>,
    /// Actions at a time; the number of processors when not given
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Go on with other variants after a failure
    #[arg(short = 'k', long)]
    pub(crate) keep_going: bool,
    /// Build again whenever the manifest, a model, a march file or calibration data changes
    #[arg(short, long, conflicts_with_all = ["dry_run", "force"])]
    pub(crate) watch: bool,
    /// With --watch: look at the files every so many seconds, for network folders that tell nothing
    #[arg(long, value_name = "SECONDS", requires = "watch", num_args = 0..=1, default_missing_value = "2")]
    pub(crate) poll: Option<f64>,
    /// Leave the remote cache of the manifest alone
    #[arg(long)]
    pub(crate) no_remote: bool,
    /// Write events as JSON lines to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Follow the plan of this compiled model without a search
    #[arg(long, value_name = "FILE.bin")]
    pub(crate) replay_plan: Option<PathBuf>,
    /// Run actions on the workers of the manifest's server, as `execute = true` of the remote table does
    #[arg(long)]
    pub(crate) remote_exec: bool,
}

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  ptq init model.onnx\n  ptq init models/net.onnx --march bayes -o ptq.toml --force"
)]
pub(crate) struct Init {
    /// ONNX file
    pub(crate) model: PathBuf,
    /// Target
    #[arg(long, default_value = "cpu")]
    pub(crate) march: String,
    /// Manifest to write
    #[arg(short, long, value_name = "FILE", default_value = "ptq.toml")]
    pub(crate) output: PathBuf,
    /// Overwrite the manifest
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  ptq import mapper/config.yaml -o ptq.toml\n\nPaths in the YAML file begin at its folder and are rewritten for the manifest's. Everything that is wrong\nis reported at once; what has no counterpart becomes a comment. docs/import.md lists every key."
)]
pub(crate) struct Import {
    /// YAML file of hb_mapper or hb_compile
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    /// Manifest to write
    #[arg(short, long, value_name = "FILE", default_value = "ptq.toml")]
    pub(crate) output: PathBuf,
    /// Overwrite the manifest
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Variants {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  ptq explain fashion-cpu\n  ptq explain fashion-cpu:compile")]
pub(crate) struct Explain {
    /// Variant, or VARIANT:STAGE
    #[arg(value_name = "VARIANT[:STAGE]")]
    pub(crate) what: String,
}

#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  ptq why-differs net-cpu net-bayes\n  ptq why-differs net-cpu@1 net-cpu")]
pub(crate) struct WhyDiffers {
    /// Variant, or VARIANT@N for build N of `ptq log VARIANT`
    pub(crate) a: String,
    /// The other one
    pub(crate) b: String,
}

#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  ptq graph --format mermaid\n  ptq graph 'net-*' --format html > graph.html")]
pub(crate) struct Graph {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Language
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub(crate) format: GraphFormat,
}

/// Languages of a graph.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
    /// JSON.
    Json,
    /// A page with a drawing.
    Html,
}

#[derive(ClapArgs)]
pub(crate) struct Log {
    /// Variant
    pub(crate) variant: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  ptq compare net-cpu net-bayes\n  ptq compare 'sweep-*' --html sweep.html")]
pub(crate) struct Compare {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write a page with a chart of accuracy against size
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  ptq check model.onnx --march bayes --input-shape x=1x3x224x224 --json\n  ptq check --variant fashion-bayes"
)]
pub(crate) struct Check {
    /// ONNX file; with --variant the variant's
    #[arg(required_unless_present = "variant", conflicts_with = "variant")]
    pub(crate) model: Option<PathBuf>,
    /// Take model, target, inputs and requests from this variant of the manifest
    #[arg(long, value_name = "NAME")]
    pub(crate) variant: Option<String>,
    /// Target; bayes when not given
    #[arg(long)]
    pub(crate) march: Option<String>,
    /// Nodes to run on the BPU where the march can
    #[arg(long, value_name = "NODE", num_args = 1..)]
    pub(crate) run_on_bpu: Vec<String>,
    /// Nodes to keep on the CPU
    #[arg(long, value_name = "NODE", num_args = 1..)]
    pub(crate) run_on_cpu: Vec<String>,
    /// Shape of an input, to fix dynamic dimensions: NAME=1x3x224x224
    #[arg(long, value_name = "NAME=DxD…", value_parser = key_value)]
    pub(crate) input_shape: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  ptq run out/fashion-cpu/model.bin --input input=image.png --output results\n  ptq run model.bin --input x=x.npy --frames 200 --threads 2 --profile-out profile.json"
)]
pub(crate) struct Run {
    /// Compiled model
    pub(crate) model: PathBuf,
    /// Model of a packed file
    #[arg(long = "model", value_name = "NAME")]
    pub(crate) packed: Option<String>,
    /// Input files: .npy, .png, .jpg, .nv12, or .bin and .raw with the bytes that arrive at run time
    #[arg(long, value_name = "NAME=FILE", value_parser = key_value)]
    pub(crate) input: Vec<(String, String)>,
    /// Variant of the manifest that says how files become inputs (type, layout, fit); without it the model's own
    /// description is used
    #[arg(long)]
    pub(crate) variant: Option<String>,
    /// Folder for the outputs, written as NAME.npy
    #[arg(long, value_name = "DIR", required_unless_present = "profile_out")]
    pub(crate) output: Option<PathBuf>,
    /// Also write every intermediate tensor to this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) dump: Option<PathBuf>,
    /// Frames to measure, after one that is not; without it and --profile-out nothing is measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,
    /// Frames that run at a time, each on a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) threads: u8,
    /// Threads inside each kernel; never changes a result
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) kernel_threads: u8,
    /// Write times of every CPU node, border, layout conversion and BPU segment, as JSON, or as CSV to a .csv file
    #[arg(long, value_name = "FILE")]
    pub(crate) profile_out: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct Verify {
    /// Variant
    pub(crate) variant: String,
    /// Input files; the first calibration sample when none is given
    #[arg(long, value_name = "NAME=FILE", value_parser = key_value)]
    pub(crate) input: Vec<(String, String)>,
    /// Folder whose files are held to the model's inputs and outputs, instead of the variant's output folder
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  ptq eval lite0-cpu\n  ptq eval lite0-cpu --artifact calibrated bin --json\n\nThe keys eval.* say what is measured on which data; docs/accuracy-gates.md explains them."
)]
pub(crate) struct Eval {
    /// Variant
    pub(crate) variant: String,
    /// Artifacts to measure; float is the model as it came
    #[arg(long, value_enum, num_args = 1.., default_values_t = [Artifact::Float, Artifact::Bin])]
    pub(crate) artifact: Vec<Artifact>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What can be evaluated.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Artifact {
    /// The float model.
    Float,
    /// The fused float model.
    Optimized,
    /// Simulated quantization.
    Calibrated,
    /// The integer program in the interpreter.
    Quantized,
    /// The compiled model.
    Bin,
    /// All five.
    All,
}

#[derive(ClapArgs)]
pub(crate) struct Info {
    /// ONNX file or compiled model
    pub(crate) file: PathBuf,
    /// Model of a packed file
    #[arg(long = "model", value_name = "NAME")]
    pub(crate) packed: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Dump {
    /// Compiled model
    pub(crate) model: PathBuf,
    /// Model of a packed file
    #[arg(long = "model", value_name = "NAME")]
    pub(crate) packed: Option<String>,
}

#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  ptq pack small=out/a/model.bin large=out/b/model.bin -o both.bin\n  ptq run both.bin --model small --input x=x.npy --output results"
)]
pub(crate) struct Pack {
    /// Compiled models, under their own names or as NAME=FILE
    #[arg(required = true, value_name = "[NAME=]FILE")]
    pub(crate) models: Vec<String>,
    /// The packed file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  ptq ops --march bayes\n  ptq ops --march cpu --json")]
pub(crate) struct Ops {
    /// March, by name or by the path of a march file
    #[arg(long, default_value = "bayes")]
    pub(crate) march: String,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Rule {
    /// Code, such as FUSE03, or name of a rewrite of the manifest; lists all when not given
    pub(crate) code: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Completions {
    /// Shell
    pub(crate) shell: clap_complete::Shell,
}

/// Splits `NAME=VALUE`.
fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(k, _)| !k.is_empty())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))
}

/// Stages that can be forced, besides those of the manifest.
const FORCED: [&str; 8] = ["parse", "fuse", "inspect", "observe", "calibrate", "partition", "compile", "measure"];

/// A stage of ours, or `stage:NAME` of the manifest.
fn stage_name(text: &str) -> Result<String, String> {
    if FORCED.contains(&text) || text.strip_prefix("stage:").is_some_and(|name| !name.is_empty()) {
        return Ok(text.to_owned());
    }
    Err(format!("stages: {}, or stage:NAME for one of the manifest", FORCED.join(", ")))
}

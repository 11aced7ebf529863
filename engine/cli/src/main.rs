//! The `ptq` program: arguments in, tables and files out. The only crate that prints.
//!
//! Exit codes: 0 done; 1 a build, gate or comparison failed; 2 usage or manifest error; 3 `--dry-run --exit-code`
//! found work; 101 a bug of ours; 130 a build was interrupted.

/// As the one of the standard library, but a reader that goes away (`ptq ... | head`) ends no work.
macro_rules! print {
    ($($arg:tt)*) => { $crate::terminal::say(format_args!($($arg)*)) };
}
macro_rules! println {
    ($($arg:tt)*) => { $crate::terminal::say(format_args!("{}\n", format_args!($($arg)*))) };
}
macro_rules! eprintln {
    ($($arg:tt)*) => { $crate::terminal::tell(format_args!("{}\n", format_args!($($arg)*))) };
}

mod args;
mod commands;
mod failure;
mod interrupt;
mod progress;
mod terminal;

use args::{Args, Command};
use clap::Parser as _;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Rules that fail inside are reported as diagnostics; the default hook would print over the progress bars.
    std::panic::set_hook(Box::new(|_| {}));
    let args = Args::parse();
    let result = std::panic::catch_unwind(|| run(&args)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default();
        Err(Failure::Bug(text))
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal::error(&args.global, &failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

fn run(args: &Args) -> Result<u8, Failure> {
    if let Some(dir) = &args.global.directory {
        std::env::set_current_dir(dir).map_err(|e| Failure::Usage(format!("-C {}: {e}", dir.display())))?;
    }
    let global = &args.global;
    match &args.command {
        Command::Build(a) => commands::build::run(global, a),
        Command::Variants(a) => commands::variants::run(global, a),
        Command::Explain(a) => commands::explain::run(global, a),
        Command::WhyDiffers(a) => commands::why_differs::run(global, a),
        Command::Graph(a) => commands::graph::run(global, a),
        Command::Log(a) => commands::log::run(global, a),
        Command::Compare(a) => commands::compare::run(global, a),
        Command::Init(a) => commands::init::run(a),
        Command::Import(a) => commands::import::run(global, a),
        Command::Check(a) => commands::check::run(global, a),
        Command::Run(a) => commands::run::run(global, a),
        Command::Verify(a) => commands::verify::run(global, a),
        Command::Eval(a) => commands::eval::run(global, a),
        Command::Perf(a) => commands::perf::run(global, a),
        Command::Analyze(a) => commands::analyze::run(global, a),
        Command::Info(a) => commands::info::run(a),
        Command::Dump(a) => commands::dump::run(a),
        Command::Ops(a) => commands::ops::run(a),
        Command::Pack(a) => commands::pack::run(global, a),
        Command::Rule(a) => commands::rule::run(global, a),
        Command::Cache(a) => commands::cache::run(global, a),
        Command::SlurmScript(a) => commands::slurm_script::run(global, a),
        Command::ExecStage(a) => commands::exec_stage::run(a),
        Command::Completions(a) => commands::completions::run(a),
    }
}

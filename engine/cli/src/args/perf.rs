//! Arguments of `ptq perf`.

use clap::Args as ClapArgs;
use std::path::PathBuf;

#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  ptq perf fashion-bayes\n  ptq perf fashion-bayes --html perf.html --trace perf.json\n  ptq perf both.bin --model small --json\n\n\
                  Predicted for an accelerator by an open model of it, whose assumed figures are listed; measured on this\n\
                  machine for march cpu. docs/perf.md explains every figure. chrome://tracing and ui.perfetto.dev show traces."
)]
pub(crate) struct Perf {
    /// Variant of the manifest, built where something is missing; or a compiled or packed file
    #[arg(value_name = "VARIANT|FILE.bin")]
    pub(crate) what: String,
    /// Model of a packed file
    #[arg(long = "model", value_name = "NAME")]
    pub(crate) packed: Option<String>,
    /// March file that a FILE.bin was compiled for, where it is not a built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) march: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write a page with costs, timeline, graph and assumptions
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Also write the timeline in Chrome's trace format
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

//! Arguments of `ptq analyze`.

use clap::Args;
use std::path::PathBuf;

/// Options of `ptq analyze`.
#[derive(Args)]
#[command(
    after_help = "Every accelerated node is quantized alone (inputs and weights, weights only, inputs only) and compared at the outputs in five \
measures; what has accumulated is compared at each node. For the costliest nodes and for the whole variant, settings are tried and \
scored; those that help are printed as lines for ptq.toml. Results are remembered.\n\nExamples:\n  ptq analyze net-cpu\n  ptq analyze \
net-cpu --top 20 --html analysis.html\n  ptq analyze net-cpu --json"
)]
pub(crate) struct Analyze {
    /// Variant
    pub(crate) variant: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with the graph and plots to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Nodes to list, to plot, and to try settings for
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) top: usize,
}

//! `ptq completions`.

use crate::args::{Args, Completions};
use crate::failure::Failure;
use clap::CommandFactory as _;

pub(crate) fn run(args: &Completions) -> Result<u8, Failure> {
    clap_complete::generate(args.shell, &mut Args::command(), "ptq", &mut std::io::stdout());
    Ok(0)
}

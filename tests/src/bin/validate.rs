//! How far predictions can be trusted: `cargo run --release -p ptq-tests --bin validate -- [SECTION…] [--page FILE]`.
//!
//! Sections: `levels` (bounds, conservation, growth on four networks), `vela`, `zigzag`, `scalesim` (other tools' models
//! of the same layers), `x5` (published frame rates of a board), `allocators`, `ablation`. All of them without a name. Each
//! prints a table; `--page docs/validation.md` also writes it between that page's markers. `--minimalloc DIR` adds the
//! public instances of that allocator, if they are there. Figures are predictions and counts: they do not depend on the machine.
//! Times go to the terminal only.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../bench/networks.rs"]
mod networks;

#[path = "../validate/ablation.rs"]
mod ablation;
#[path = "../validate/allocators.rs"]
mod allocators;
#[path = "../validate/boards.rs"]
mod boards;
#[path = "../validate/external.rs"]
mod external;
#[path = "../validate/levels.rs"]
mod levels;
#[path = "../validate/page.rs"]
mod page;
#[path = "../validate/predict.rs"]
mod predict;
#[path = "../validate/stats.rs"]
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str =
    "usage: validate [levels|vela|zigzag|scalesim|x5|allocators|ablation …] [--page FILE] [--minimalloc DIR]";

const SECTIONS: [&str; 7] = ["levels", "vela", "zigzag", "scalesim", "x5", "allocators", "ablation"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("validate: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut sections, mut to, mut minimalloc) = (Vec::new(), None, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut path = || args.next().map(PathBuf::from).ok_or_else(|| format!("{arg} lacks a value\n{USAGE}"));
        match arg.as_str() {
            "--page" => to = Some(path()?),
            "--minimalloc" => minimalloc = Some(path()?),
            "--help" => {
                println!("{USAGE}");
                return Ok(());
            }
            name if SECTIONS.contains(&name) => sections.push(arg),
            other => return Err(format!("unknown section {other:?}\n{USAGE}")),
        }
    }
    for name in SECTIONS.iter().filter(|s| sections.is_empty() || sections.iter().any(|x| x == **s)) {
        let table = match *name {
            "levels" => levels::run()?,
            "vela" => external::vela()?,
            "zigzag" => external::zigzag()?,
            "scalesim" => external::scalesim()?,
            "x5" => boards::run()?,
            "allocators" => allocators::run(minimalloc.as_deref())?,
            _ => ablation::run()?,
        };
        println!("## {name}\n\n{table}");
        if let Some(page) = &to {
            page::put(page, name, &table)?;
        }
    }
    Ok(())
}

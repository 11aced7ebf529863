//! Speed beside ONNX Runtime and beside the processor's own limits: `cargo run --release -p ptq-tests --bin bench -- WHAT`.
//!
//! `inference`: whole runs of models, ours and ONNX Runtime's interleaved, on one thread and two. `gemm`: integer
//! products of the shapes of ResNet against the measured peak of their instructions. `nodes`: where the time of a run
//! goes. `calibrate`: time and memory beside `quantize_static`. `compile`: how fast plans are found and how good they are.
//! `engine`: builds that have nothing to do, or little, beside other build tools. `sweep`: memory and disk of a sweep of a
//! real model. `remote`: what a team's cache saves, and what a dead one costs. `workers`: whether executions in parallel keep a
//! server busy. `scale`: what a large sweep costs on a cluster. Every figure ends in one line of JSON. Times are CPU time of the process and wall time; on a busy machine the
//! minimum of CPU time says most.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../bench/calibrate.rs"]
mod calibrate;
#[path = "../bench/ceiling.rs"]
mod ceiling;
#[path = "../bench/clock.rs"]
mod clock;
#[path = "../bench/compile.rs"]
mod compile;
#[path = "../bench/engine.rs"]
mod engine;
#[path = "../bench/figure.rs"]
mod figure;
#[path = "../bench/gemm.rs"]
mod gemm;
#[path = "../bench/inference.rs"]
mod inference;
#[path = "../bench/networks.rs"]
mod networks;
#[path = "../bench/nodes.rs"]
mod nodes;
#[path = "../bench/options.rs"]
mod options;
#[path = "../bench/peer.rs"]
mod peer;
#[path = "../bench/peers.rs"]
mod peers;
#[path = "../bench/remote.rs"]
mod remote;
#[path = "../bench/scale.rs"]
mod scale;
#[path = "../bench/subject.rs"]
mod subject;
#[path = "../bench/sweep.rs"]
mod sweep;
#[path = "../bench/workers.rs"]
mod workers;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = Options::parse(&args).and_then(|options| match options.what.as_str() {
        "inference" => inference::run(&options),
        "calibrate" => calibrate::run(&options),
        "compile" => compile::run(&options),
        "gemm" => gemm::run(&options),
        "engine" => engine::run(),
        "remote" => remote::run(&options),
        "scale" => scale::run(),
        "workers" => workers::run(),
        "sweep" => sweep::run(options.variants),
        "nodes" => nodes::run(&options),
        other => Err(format!("unknown benchmark {other:?}\n{}", options::USAGE)),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

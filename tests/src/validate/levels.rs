//! Bounds, conservation of bytes and growth of the search, on four networks and all levels and modes.

use crate::networks::{NETWORKS, network};
use crate::predict::{hardware, predict, stated};
use ptq_compile::{CompileMode, OptimizeLevel, Search};
use ptq_sim::Command;
use ptq_sim::artifact::Body;
use std::fmt::Write;
use std::time::Instant;

/// All levels.
pub(crate) const LEVELS: [OptimizeLevel; 4] =
    [OptimizeLevel::O0, OptimizeLevel::O1, OptimizeLevel::O2, OptimizeLevel::O3];

/// The table.
///
/// # Errors
/// When a bound is crossed, bytes are lost, or a level is worse than the one below.
pub(crate) fn run() -> Result<String, String> {
    let march = stated()?;
    let mut out = "| network | mode | level | Mcycles | of the bound | DDR MB | plans tried |\n| --- | --- | --- | --- | --- | --- | --- |\n".to_owned();
    for name in NETWORKS {
        let graph = network(name, &march.name);
        for mode in [CompileMode::Latency, CompileMode::Bandwidth, CompileMode::Balance(50)] {
            let mut below = None;
            for level in LEVELS {
                let start = Instant::now();
                let p = predict(&graph, &march, &Search { level, mode, ..Search::default() })?;
                eprintln!("{name} {mode:?} {level:?}: {:.1} s", start.elapsed().as_secs_f64());
                let (t, r) = (&p.timing, &p.report);
                let who = format!("{name} at {level:?} for {mode:?}");
                check(t.bound.cycles() <= t.cycles, &format!("{who}: below the roofline"))?;
                let layers: u64 = t.layers.iter().map(|l| l.loaded_bytes + l.stored_bytes).sum();
                let plan: u64 = p.model.segments.iter().map(|s| commanded(&s.body)).sum();
                let equal = [layers, plan, r.ddr_bytes].iter().all(|&b| b == t.ddr_bytes());
                check(equal, &format!("{who}: {} bytes timed, {plan} commanded, {layers} in layers", t.ddr_bytes()))?;
                if let Some((tried, cycles, bytes)) = below {
                    check(r.evaluated > tried, &format!("{who}: no more plans than below"))?;
                    match mode {
                        CompileMode::Latency => check(r.cycles <= cycles, &format!("{who}: slower than below"))?,
                        CompileMode::Bandwidth => {
                            check(r.ddr_bytes <= bytes, &format!("{who}: more bytes than below"))?
                        }
                        CompileMode::Balance(f) => {
                            let worth = |c: u64, b: u64| {
                                let f = f64::from(f) / 100.0;
                                f * c as f64 / r.least_cycles as f64 + (1.0 - f) * b as f64 / r.least_bytes as f64
                            };
                            let better = worth(r.cycles, r.ddr_bytes) <= worth(cycles, bytes) + 1e-12;
                            check(better, &format!("{who}: worth less than below"))?;
                        }
                    }
                }
                below = Some((r.evaluated, r.cycles, r.ddr_bytes));
                let _ = writeln!(
                    out,
                    "| {name} | {} | {} | {:.3} | {:.2} | {:.2} | {} |",
                    mode_name(mode),
                    level.name(),
                    t.cycles as f64 / 1e6,
                    t.cycles as f64 / t.bound.cycles() as f64,
                    t.ddr_bytes() as f64 / 1e6,
                    r.evaluated
                );
            }
        }
    }
    let _ = hardware(&march)?;
    Ok(out)
}

fn mode_name(mode: CompileMode) -> String {
    match mode {
        CompileMode::Latency => "latency".to_owned(),
        CompileMode::Bandwidth => "bandwidth".to_owned(),
        CompileMode::Balance(f) => format!("balance {f}"),
    }
}

/// Bytes that a program's transfers move.
fn commanded(body: &Body) -> u64 {
    let Body::Npu(npu) = body else { return 0 };
    let bytes = npu.program.commands.iter().map(|r| match &r.command {
        Command::Load(t) | Command::Store(t) => t.total_bytes(),
        _ => 0,
    });
    bytes.sum()
}

fn check(ok: bool, what: &str) -> Result<(), String> {
    if ok { Ok(()) } else { Err(what.to_owned()) }
}

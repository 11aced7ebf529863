//! How fast plans are found, and how near the predicted cycles come to what no program can beat.

use crate::clock;
use crate::figure::Figure;
use crate::networks::{NETWORKS, network};
use crate::options::Options;
use ptq_compile::{OptimizeLevel, Search, compile};
use ptq_march::{Hardware, March};
use ptq_sim::artifact::Body;
use ptq_sim::timing::Timing;

/// Cycles that each network needs at least on the target below by its weights and multiplications alone, in millions.
const BOUNDS: [f64; 4] = [0.545, 0.453, 1.479, 3.207];

/// Compiles every network at every level for 4,096 multipliers, 2 MiB of SRAM and 8 bytes a cycle.
///
/// # Errors
/// When a network does not compile.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let march = target()?;
    let hardware = march.hardware.as_ref().ok_or("the march has no hardware")?;
    println!("network        level     Mcycles  DDR MB  plans  seconds");
    for (name, bound) in NETWORKS.into_iter().zip(BOUNDS) {
        if !options.wants(name) {
            continue;
        }
        let graph = network(name, &march.name);
        for level in [OptimizeLevel::O0, OptimizeLevel::O1, OptimizeLevel::O2, OptimizeLevel::O3] {
            let search = Search { level, ..Search::default() };
            let mut made = None;
            let time = clock::time(|| made = Some(compile(&graph, &march, [0; 32], &search)));
            let (model, report) = made.ok_or("nothing was made")?.map_err(|d| format!("{name}: {d:?}"))?;
            let seconds = clock::Summary::of(&[time]).cpu[0];
            let (cycles, bytes) = (report.cycles as f64 / 1e6, report.ddr_bytes as f64 / 1e6);
            println!("{name:14} {:8} {cycles:8.3} {bytes:7.2} {:6} {seconds:8.3}", level.name(), report.evaluated);
            if level == OptimizeLevel::O0 {
                Figure::time(&format!("compile {name} at O0, limit"), seconds, 0.05);
            }
            if level == OptimizeLevel::O3 {
                Figure::time(&format!("compile {name} at O3, limit"), seconds, 30.0);
                Figure::cycles(&format!("{name} at O3, bound"), cycles, bound);
                for segment in &model.segments {
                    let Body::Npu(npu) = &segment.body else { continue };
                    gap(&Timing::of_segment(&model, segment, npu, hardware), hardware);
                }
            }
        }
    }
    Ok(())
}

/// Where the cycles above the bound go.
fn gap(t: &Timing, hardware: &Hardware) {
    let sum = |f: fn(&ptq_sim::timing::LayerTiming) -> u64| t.layers.iter().map(f).sum::<u64>() as f64 / 1e6;
    let (compute, ddr) = (sum(|l| l.compute), sum(|l| l.load + l.store));
    println!(
        "  bound {:.3} (array {:.3}, needed bytes {:.3}); units busy {compute:.3}, connection busy {ddr:.3} \
         (needed twice or in part of a burst: {:.3})",
        t.bound.cycles() as f64 / 1e6,
        t.bound.compute as f64 / 1e6,
        t.bound.ddr as f64 / 1e6,
        ddr - t.bound.ddr as f64 / 1e6,
    );
    let commands = t.spans.iter().filter(|s| s.queue.is_some()).count();
    let idle = t.cycles as f64 / 1e6 - ddr.max(compute);
    println!(
        "  {commands} commands; waiting, issuing and latency: {idle:.3} ({} cycles of latency a load)",
        hardware.ddr_latency_cycles
    );
}

/// March `bayes-e` with the figures that the bounds were worked out for.
fn target() -> Result<March, String> {
    let text = ptq_march::source("bayes-e").ok_or("march bayes-e is missing")?;
    let mut march = March::from_toml(&text).map_err(|d| format!("{d:?}"))?;
    let hardware = march.hardware.take().ok_or("march bayes-e has no hardware")?;
    march.hardware = Some(Hardware { ddr_bytes_per_cycle: 8.0, ..hardware });
    Ok(march)
}

//! Published frame rates of a board with an X5 (march `bayes-e`), beside predictions fitted on half of them.
//!
//! Time of the accelerator is taken as 1 / (frames a second with several threads), since then it is always busy. Structures are made by
//! `networks/classifiers.rs` and `detectors.rs`, with made-up weights; their sizes are checked against published ones.
//! Models are split by a hash of their names. At most four parameters are fitted, all on one half.

use crate::networks::{Builder, classifiers, detectors};
use crate::predict::{hardware, march, predict, time};
use crate::stats::{mean_error, spearman};
use ptq_compile::{OptimizeLevel, Search};
use ptq_march::Hardware;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

/// `name,family,gflops,mparams,fps`.
const BOARDS: &str = include_str!("../../data/validation/x5.csv");

/// What is fitted: external memory in bytes a cycle, width of the matrix unit in pixels, width of all other units relative
/// to the march, microseconds a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    ddr: f64,
    px: u32,
    units: f64,
    frame_us: f64,
}

struct Row {
    name: String,
    family: String,
    gflops: f64,
    mparams: f64,
    /// Milliseconds a frame.
    measured: f64,
    own: [f64; 2],
    mbytes: f64,
    /// Milliseconds for each point of the grid, in its order.
    times: Vec<f64>,
}

/// The table.
///
/// # Errors
/// When a structure does not compile.
pub(crate) fn run() -> Result<String, String> {
    let grid = grid();
    let mut rows = Vec::new();
    for line in BOARDS.lines().skip(1) {
        rows.extend(row(line, &grid)?);
    }
    let halves: [Vec<&Row>; 2] = [0, 1].map(|h| rows.iter().filter(|r| half(&r.name) == h).collect());
    let mut out = String::new();
    sizes(&mut out, &rows);
    let _ = writeln!(
        out,
        "\n| fitted on | ours on the same half | ours on the other half | roofline on the same half | roofline on the other half |\n\
         | --- | --- | --- | --- | --- |"
    );
    let mut chosen = Vec::new();
    for (own, other) in [(0, 1), (1, 0)] {
        let (at, frame) = fit(&grid, &halves[own]);
        let line = Roofline::fit(&halves[own]);
        let errors = |half: &[&Row]| {
            let ours: Vec<_> = half.iter().map(|r| (r.times[at] + frame, r.measured)).collect();
            let peer: Vec<_> = half.iter().map(|r| (line.ms(r), r.measured)).collect();
            (mean_error(&ours), mean_error(&peer))
        };
        let ((o1, r1), (o2, r2)) = (errors(&halves[own]), errors(&halves[other]));
        let name = ["first half", "second half"][own];
        let _ = writeln!(out, "| {name} ({} models) | {o1:.1}% | {o2:.1}% | {r1:.1}% | {r2:.1}% |", halves[own].len());
        chosen.push((Fit { frame_us: frame * 1e3, ..grid[at] }, at, frame, line));
    }
    for ((fit, .., line), name) in chosen.iter().zip(["First", "Second"]) {
        let _ = writeln!(
            out,
            "\n{name} half: {:.1} bytes a cycle, {} pixels, other units × {}, {:.0} µs a frame; roofline {:.1} GB/s, {:.2} TOPS.",
            fit.ddr, fit.px, fit.units, fit.frame_us, line.gbytes, line.tops
        );
    }
    families(&mut out, &rows, &grid);
    let _ = writeln!(
        out,
        "\n| model | half | measured ms | ours (other half's fit) | ratio | roofline (other half's fit) | ratio | bound by traffic MB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for r in &rows {
        let (_, at, frame, line) = &chosen[1 - half(&r.name)];
        let (ours, peer) = (r.times[*at] + frame, line.ms(r));
        let _ = writeln!(
            out,
            "| {} | {} | {:.2} | {ours:.2} | {:.2} | {peer:.2} | {:.2} | {:.1} |",
            r.name,
            half(&r.name) + 1,
            r.measured,
            ours / r.measured,
            peer / r.measured,
            r.mbytes
        );
    }
    let held: Vec<(f64, f64)> = rows.iter().map(|r| (r.times[chosen[1 - half(&r.name)].1], r.measured)).collect();
    let (ours, measured): (Vec<f64>, Vec<f64>) = held.into_iter().unzip();
    let _ = writeln!(
        out,
        "\nRank correlation over all models, each by the other half's fit: {:.3}.",
        spearman(&ours, &measured)
    );
    Ok(out)
}

/// Which half a model is in: the low bit of FNV-1a of its name.
fn half(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    // The low bit alone depends on few bits of the name.
    ((hash ^ (hash >> 32)).count_ones() % 2) as usize
}

fn grid() -> Vec<Fit> {
    let mut out = Vec::new();
    for ddr in [3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 8.0, 9.0] {
        for px in [3, 4, 5, 6, 8] {
            for units in [0.25, 0.5, 1.0, 2.0] {
                out.push(Fit { ddr, px, units, frame_us: 0.0 });
            }
        }
    }
    out
}

impl Fit {
    fn hardware(&self, base: &Hardware) -> Hardware {
        let scale = |n: u32| ((f64::from(n) * self.units) as u32).max(1);
        let mut hw = base.clone();
        hw.ddr_bytes_per_cycle = self.ddr;
        (hw.mac.px, hw.mac.dw_lanes) = (self.px, scale(hw.mac.dw_lanes));
        hw.vector_lanes = scale(hw.vector_lanes);
        hw.trans_bytes_per_cycle = scale(hw.trans_bytes_per_cycle);
        hw
    }
}

/// Compiles a structure once and times its program on every point of the grid.
fn row(line: &str, grid: &[Fit]) -> Result<Option<Row>, String> {
    let bad = || format!("not a model: {line}");
    let [name, family, gflops, mparams, fps] = line.split(',').collect::<Vec<_>>()[..] else { return Err(bad()) };
    let number = |s: &str| s.parse::<f64>().map_err(|_| bad());
    let march = march("bayes-e")?;
    let base = hardware(&march)?;
    let Some(built) = build(name, &march.name) else { return Ok(None) };
    let start = Instant::now();
    let search = Search { level: OptimizeLevel::O2, ..Search::default() };
    let p = predict(&built.graph, &march, &search)?;
    let compiled = start.elapsed();
    let ms = |f: &Fit| time(&p.model, &f.hardware(base)).map_or(f64::NAN, |t| t.latency_us(base) / 1e3);
    let times = grid.iter().map(ms).collect();
    eprintln!("{name}: compiled in {compiled:.1?}, timed in {:.1?}", start.elapsed() - compiled);
    Ok(Some(Row {
        name: name.to_owned(),
        family: family.to_owned(),
        gflops: number(gflops)?,
        mparams: number(mparams)?,
        measured: 1e3 / number(fps)?,
        own: [2.0 * built.macs as f64 / 1e9, built.weights as f64 / 1e6],
        mbytes: p.timing.ddr_bytes() as f64 / 1e6,
        times,
    }))
}

fn build(name: &str, march: &str) -> Option<Builder> {
    classifiers::build(name, march).or_else(|| detectors::build(name, march))
}

/// How far the structures' own sizes are from the published ones.
fn sizes(out: &mut String, rows: &[Row]) {
    let far: Vec<String> = rows
        .iter()
        .filter(|r| (r.own[0] / r.gflops - 1.0).abs() > 0.05 || (r.own[1] / r.mparams - 1.0).abs() > 0.05)
        .map(|r| {
            format!("{} {:.2}/{:.2} GFLOP, {:.2}/{:.2} M weights", r.name, r.own[0], r.gflops, r.own[1], r.mparams)
        })
        .collect();
    let _ = writeln!(
        out,
        "{} structures. More than 5% from the published size (ours/published): {}.",
        rows.len(),
        if far.is_empty() { "none".to_owned() } else { far.join("; ") }
    );
}

/// The best point of the grid for these models, and milliseconds a frame beside it.
fn fit(grid: &[Fit], rows: &[&Row]) -> (usize, f64) {
    let mut best = (f64::INFINITY, 0, 0.0);
    for at in 0..grid.len() {
        for step in 0..12 {
            let frame = f64::from(step) * 0.025;
            let error = mean_error(&rows.iter().map(|r| (r.times[at] + frame, r.measured)).collect::<Vec<_>>());
            if error < best.0 {
                best = (error, at, frame);
            }
        }
    }
    (best.1, best.2)
}

/// `max(weights / bandwidth, operations / speed)`.
#[derive(Clone, Copy)]
struct Roofline {
    gbytes: f64,
    tops: f64,
}

impl Roofline {
    fn ms(&self, r: &Row) -> f64 {
        (r.mparams / self.gbytes).max(r.gflops / self.tops)
    }

    fn fit(rows: &[&Row]) -> Roofline {
        let mut best = (f64::INFINITY, Roofline { gbytes: 5.0, tops: 2.5 });
        for b in 0..60 {
            for t in 0..70 {
                let line = Roofline { gbytes: 3.0 + 0.1 * f64::from(b), tops: 1.0 + 0.05 * f64::from(t) };
                let error = mean_error(&rows.iter().map(|r| (line.ms(r), r.measured)).collect::<Vec<_>>());
                if error < best.0 {
                    best = (error, line);
                }
            }
        }
        best.1
    }
}

/// Each family predicted by a fit on all others.
fn families(out: &mut String, rows: &[Row], grid: &[Fit]) {
    let names: BTreeSet<&str> = rows.iter().map(|r| r.family.as_str()).collect();
    let _ = writeln!(out, "\n| family left out | models | ours | roofline |\n| --- | --- | --- | --- |");
    let (mut all_ours, mut all_peer) = (Vec::new(), Vec::new());
    for name in names {
        let (own, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|r| r.family == name);
        let (at, frame) = fit(grid, &others);
        let line = Roofline::fit(&others);
        let ours: Vec<_> = own.iter().map(|r| (r.times[at] + frame, r.measured)).collect();
        let peer: Vec<_> = own.iter().map(|r| (line.ms(r), r.measured)).collect();
        let _ = writeln!(out, "| {name} | {} | {:.1}% | {:.1}% |", own.len(), mean_error(&ours), mean_error(&peer));
        all_ours.extend(ours);
        all_peer.extend(peer);
    }
    let _ = writeln!(out, "| all | {} | {:.1}% | {:.1}% |", rows.len(), mean_error(&all_ours), mean_error(&all_peer));
}

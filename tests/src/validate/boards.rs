//! Published frame rates of a board with an X5 (march `bayes-e`), beside predictions fitted on half of them.
//!
//! Time of the accelerator is taken as 1 / (frames a second with several threads), since then it is always busy. Several frames are
//! under way, so what counts is how long a frame occupies the machine's parts, not its latency: `forms` says how. Structures are made by
//! `networks/classifiers.rs` and `detectors.rs`, with made-up weights; their sizes are checked against published ones.
//! Models are split by a hash of their names. At most four parameters are fitted, all on one half.

#[path = "boards/forms.rs"]
mod forms;

use crate::networks::{Builder, classifiers, detectors};
use crate::predict::{Predicted, hardware, march, predict};
use crate::stats::{mean_error, spearman};
use forms::{FORMS, Form, OURS, ROOFLINE};
use ptq_compile::{OptimizeLevel, Search};
use ptq_march::Hardware;
use ptq_sim::Command;
use ptq_sim::artifact::Body;
use ptq_sim::timing::cost;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

/// `name,family,gflops,mparams,fps`.
const BOARDS: &str = include_str!("../../data/validation/x5.csv");

/// What a frame's program occupies; megabytes and millions of cycles, so that one a millisecond is 1 GB/s and 1 GHz.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Parts {
    /// Megabytes of constants that are loaded.
    weights: f64,
    /// Megabytes of everything else that is loaded or stored.
    activations: f64,
    /// Millions of cycles of a matrix unit that is one pixel wide.
    array: f64,
    /// Millions of cycles of depthwise convolutions and of the vector unit, as wide as the march says.
    others: f64,
}

struct Row {
    name: String,
    family: String,
    gflops: f64,
    mparams: f64,
    /// Milliseconds a frame.
    measured: f64,
    own: [f64; 2],
    /// Milliseconds of one frame by itself, on the march as it is.
    latency: f64,
    parts: Parts,
}

/// The table.
///
/// # Errors
/// When a structure does not compile.
pub(crate) fn run() -> Result<String, String> {
    let mut rows = Vec::new();
    for line in BOARDS.lines().skip(1) {
        rows.extend(row(line)?);
    }
    let halves: [Vec<&Row>; 2] = [0, 1].map(|h| rows.iter().filter(|r| half(&r.name) == h).collect());
    let mut out = String::new();
    sizes(&mut out, &rows);
    let _ = writeln!(
        out,
        "\n| a frame takes | parameters | first half: own error | error on the second | second half: own error | error on the first |\n\
         | --- | --- | --- | --- | --- | --- |"
    );
    for form in FORMS {
        let cells = [(0, 1), (1, 0)].map(|(own, other)| {
            let at = form.fit(&halves[own]);
            format!("{:.1}% | {:.1}%", form.error(&at, &halves[own]), form.error(&at, &halves[other]))
        });
        let _ = writeln!(out, "| {} | {} | {} | {} |", form.what, form.start.len(), cells[0], cells[1]);
    }
    let ours = [0, 1].map(|h| OURS.fit(&halves[h]));
    let peer = [0, 1].map(|h| ROOFLINE.fit(&halves[h]));
    for (name, h) in [("First", 0), ("Second", 1)] {
        let ([w, px, a], [b, t]) = (&ours[h][..], &peer[h][..]) else { return Err("parameters are missing".into()) };
        let _ = writeln!(
            out,
            "\n{name} half ({} models): weights {w:.1} GB/s, array {px:.1} pixels wide, activations {a:.1} GB/s; roofline {b:.1} GB/s, {t:.2} TOPS.",
            halves[h].len()
        );
    }
    families(&mut out, &rows);
    let _ = writeln!(
        out,
        "\n| model | half | measured ms | ours (other half's fit) | ratio | roofline (other half's fit) | ratio | one frame alone ms |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    let mut held = Vec::new();
    for r in &rows {
        let other = 1 - half(&r.name);
        let (own, line) = (OURS.ms(&ours[other], r), ROOFLINE.ms(&peer[other], r));
        held.push((own, r.measured));
        let _ = writeln!(
            out,
            "| {} | {} | {:.2} | {own:.2} | {:.2} | {line:.2} | {:.2} | {:.2} |",
            r.name,
            half(&r.name) + 1,
            r.measured,
            own / r.measured,
            line / r.measured,
            r.latency
        );
    }
    let (own, measured): (Vec<f64>, Vec<f64>) = held.into_iter().unzip();
    let _ = writeln!(
        out,
        "\nRank correlation over all models, each by the other half's fit: {:.3}; of the latency of one frame alone on the march as it is, where \
         nothing is fitted here: {:.3}.",
        spearman(&own, &measured),
        spearman(&rows.iter().map(|r| r.latency).collect::<Vec<_>>(), &measured)
    );
    Ok(out)
}

/// Which half a model is in: the low bit of FNV-1a of its name.
pub(crate) fn half(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    // The low bit alone depends on few bits of the name.
    ((hash ^ (hash >> 32)).count_ones() % 2) as usize
}

/// What the one program of a model occupies.
fn parts(p: &Predicted, base: &Hardware) -> Parts {
    let mut narrow = base.clone();
    narrow.mac.px = 1;
    let mut out = Parts::default();
    for segment in &p.model.segments {
        let Body::Npu(npu) = &segment.body else { continue };
        let constants = npu.program.constants.len();
        for record in &npu.program.commands {
            let cycles = |hw| cost(&record.command, hw).cycles as f64 / 1e6;
            let sum = match &record.command {
                Command::Load(t) if (t.ddr.0 as usize) < constants => (&mut out.weights, t.total_bytes() as f64 / 1e6),
                Command::Load(t) | Command::Store(t) => (&mut out.activations, t.total_bytes() as f64 / 1e6),
                Command::Conv(_) | Command::MatMul(_) => (&mut out.array, cycles(&narrow)),
                Command::Sync | Command::End => continue,
                _ => (&mut out.others, cycles(base)),
            };
            *sum.0 += sum.1;
        }
    }
    out
}

/// Compiles a structure.
fn row(line: &str) -> Result<Option<Row>, String> {
    let bad = || format!("not a model: {line}");
    let [name, family, gflops, mparams, fps] = line.split(',').collect::<Vec<_>>()[..] else { return Err(bad()) };
    let number = |s: &str| s.parse::<f64>().map_err(|_| bad());
    let march = march("bayes-e")?;
    let base = hardware(&march)?;
    let Some(built) = build(name, &march.name) else { return Ok(None) };
    let start = Instant::now();
    let search = Search { level: OptimizeLevel::O2, ..Search::default() };
    let p = predict(&built.graph, &march, &search)?;
    eprintln!("{name}: compiled in {:.1?}", start.elapsed());
    Ok(Some(Row {
        name: name.to_owned(),
        family: family.to_owned(),
        gflops: number(gflops)?,
        mparams: number(mparams)?,
        measured: 1e3 / number(fps)?,
        own: [2.0 * built.macs as f64 / 1e9, built.weights as f64 / 1e6],
        latency: p.timing.latency_us(base) / 1e3,
        parts: parts(&p, base),
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

/// Each family predicted by a fit on all others.
fn families(out: &mut String, rows: &[Row]) {
    let names: BTreeSet<&str> = rows.iter().map(|r| r.family.as_str()).collect();
    let _ = writeln!(out, "\n| family left out | models | ours | roofline |\n| --- | --- | --- | --- |");
    let mut all = [Vec::new(), Vec::new()];
    for name in names {
        let (own, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|r| r.family == name);
        let pairs = [&OURS, &ROOFLINE].map(|form: &Form| {
            let at = form.fit(&others);
            own.iter().map(|r| (form.ms(&at, r), r.measured)).collect::<Vec<_>>()
        });
        let _ =
            writeln!(out, "| {name} | {} | {:.1}% | {:.1}% |", own.len(), mean_error(&pairs[0]), mean_error(&pairs[1]));
        all.iter_mut().zip(pairs).for_each(|(all, p)| all.extend(p));
    }
    let _ = writeln!(out, "| all | {} | {:.1}% | {:.1}% |", rows.len(), mean_error(&all[0]), mean_error(&all[1]));
}

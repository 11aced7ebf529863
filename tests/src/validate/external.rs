//! Other tools' models of the same layers with the same parameters: Vela, ZigZag, and SCALE-Sim's closed form.
//!
//! Their figures are committed tables (`tests/data/validation/`); how they were made is in `docs/validation.md`. The
//! thresholds were stated before the comparison: rank correlation of at least 0.9, and ratios from 0.7 to 1.4 for 80% of the layers.

use crate::boards::half;
use crate::networks::{NETWORKS, network};
use crate::predict::{Layer, Predicted, hardware, march, predict, time};
use crate::stats::{quantile, spearman, within};
use ptq_compile::{CompileMode, OptimizeLevel, Search};
use ptq_march::{Feed, Hardware, March};
use ptq_sim::timing::Timing;
use std::collections::BTreeSet;
use std::fmt::Write;

const VELA_LAYERS: &str = include_str!("../../data/validation/vela_layers.csv");
const VELA_TOTALS: &str = include_str!("../../data/validation/vela_totals.csv");
const ZIGZAG_LAYERS: &str = include_str!("../../data/validation/zigzag_layers.csv");

/// Least rank correlation, least and greatest ratio, share of the layers inside: stated beforehand.
const RANK: f64 = 0.9;
const RATIO: (f64, f64) = (0.7, 1.4);
const SHARE: f64 = 80.0;

const HEAD: &str = "| figure | layers | rank correlation | ratio in 0.7..1.4 | ratio: 10% / median / 90% | met |\n\
                    | --- | --- | --- | --- | --- | --- |\n";

/// Different layers of a table, in its order.
fn layers(table: &str) -> Result<Vec<Layer>, String> {
    let all: Vec<Layer> = table.lines().skip(1).map(Layer::parse).collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    Ok(all.into_iter().filter(|l| seen.insert((l.kind.clone(), l.extents, l.kernel, l.stride))).collect())
}

fn predicted(layers: &[Layer], march: &March) -> Result<Vec<Predicted>, String> {
    layers.iter().map(|l| predict(&l.graph(&march.name), march, &Layer::search())).collect()
}

/// One line: (ours, theirs).
fn line(out: &mut String, what: &str, pairs: &[(f64, f64)]) {
    if pairs.len() < 3 {
        return;
    }
    let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let ratios: Vec<f64> = pairs.iter().map(|(o, t)| o / t).collect();
    let (rank, share) = (spearman(&ours, &theirs), within(&ratios, RATIO.0, RATIO.1));
    let met = match (rank >= RANK, share >= SHARE) {
        (true, true) => "both",
        (true, false) => "rank only",
        (false, true) => "ratio only",
        (false, false) => "neither",
    };
    let [low, mid, high] = [0.1, 0.5, 0.9].map(|q| quantile(&ratios, q));
    let _ = writeln!(
        out,
        "| {what} | {} | {rank:.3} | {share:.0}% | {low:.2} / {mid:.2} / {high:.2} | {met} |",
        pairs.len()
    );
}

/// Cycles of the computing units.
fn compute(timing: &Timing) -> f64 {
    timing.layers.iter().map(|l| l.compute).sum::<u64>() as f64
}

/// Kind of a layer for the lines of a table.
fn kind(l: &Layer) -> &'static str {
    match (l.kind.as_str(), l.kernel) {
        ("conv", 1) => "1 × 1 convolutions",
        ("conv", _) => "larger convolutions",
        ("dw", _) => "depthwise",
        _ => "others",
    }
}

/// Vela: each layer by itself, then whole networks.
///
/// # Errors
/// When a table is broken or a layer does not compile.
pub(crate) fn vela() -> Result<String, String> {
    let layers = layers(VELA_LAYERS)?;
    let mut out = HEAD.to_owned();
    for (m, name) in ["vela-u65-512", "vela-u85-2048"].into_iter().enumerate() {
        let march = march(name)?;
        let ours = predicted(&layers, &march)?;
        // Vela's own columns: array, external memory, operation; for each of both.
        let theirs = |l: &Layer, column: usize| l.figures[3 * m + column];
        let pairs = |f: &dyn Fn(&Predicted) -> f64, column: usize, only: Option<&str>| {
            let all = layers.iter().zip(&ours).filter(|(l, _)| only.is_none_or(|k| kind(l) == k));
            let pairs = all.map(|(l, p)| (f(p), theirs(l, column))).filter(|(o, t)| *o > 0.0 && *t > 0.0);
            pairs.collect::<Vec<(f64, f64)>>()
        };
        let array = |p: &Predicted| compute(&p.timing);
        let cycles = |p: &Predicted| p.timing.cycles as f64;
        line(&mut out, &format!("{name}: array cycles"), &pairs(&array, 0, None));
        for k in ["1 × 1 convolutions", "larger convolutions", "depthwise", "others"] {
            line(&mut out, &format!("… {k}"), &pairs(&array, 0, Some(k)));
        }
        blocks(&mut out, &march, &layers, &ours, &|l: &Layer| theirs(l, 0))?;
        line(&mut out, &format!("{name}: operation cycles"), &pairs(&cycles, 2, None));
        // Vela leaves many tensors in SRAM between layers; these it moves as we do.
        let moved = layers.iter().zip(&ours).filter(|(l, p)| theirs(l, 1) >= 0.8 * p.timing.bound.ddr as f64);
        let moved: Vec<_> = moved.map(|(l, p)| (cycles(p), theirs(l, 2))).collect();
        line(&mut out, "… input and result in external memory there too", &moved);
    }
    out += "\nWhole networks at O3 (cycles in millions, traffic in megabytes; ours / Vela's):\n\n\
            | network | target | latency: cycles | latency: traffic | bandwidth: traffic | no more traffic than Vela |\n\
            | --- | --- | --- | --- | --- | --- |\n";
    for line in VELA_TOTALS.lines().skip(1) {
        let bad = || format!("not a total: {line}");
        let [target, net, cycles, bytes] = line.split(',').collect::<Vec<_>>()[..] else { return Err(bad()) };
        let number = |s: &str| s.parse::<f64>().map_err(|_| bad());
        let (cycles, bytes) = (number(cycles)? / 1e6, number(bytes)? / 1e6);
        let march = march(target)?;
        let name = NETWORKS.into_iter().find(|n| *n == net).ok_or_else(bad)?;
        let graph = network(name, &march.name);
        let by = |mode| predict(&graph, &march, &Search { level: OptimizeLevel::O3, mode, ..Search::default() });
        let (fast, little) = (by(CompileMode::Latency)?, by(CompileMode::Bandwidth)?);
        let mb = |p: &Predicted| p.timing.ddr_bytes() as f64 / 1e6;
        let met = match (mb(&fast) <= bytes, mb(&little) <= bytes) {
            (true, _) => "yes",
            (false, true) => "in bandwidth mode only",
            (false, false) => "no",
        };
        let own = fast.timing.cycles as f64 / 1e6;
        let _ = writeln!(
            out,
            "| {net} | {target} | {own:.3} / {cycles:.3} | {:.2} / {bytes:.2} | {:.2} / {bytes:.2} | {met} |",
            mb(&fast),
            mb(&little)
        );
    }
    Ok(out)
}

/// Sizes of a block of results among which one is chosen.
const BLOCKS: [u32; 6] = [1024, 2048, 4096, 8192, 16384, 32768];

/// The array's cycles with the size of a block chosen on one half of the layers, by a hash of their names, and judged on the other.
fn blocks(
    out: &mut String,
    march: &March,
    layers: &[Layer],
    ours: &[Predicted],
    theirs: &dyn Fn(&Layer) -> f64,
) -> Result<(), String> {
    let base = hardware(march)?;
    for own in [0, 1] {
        let pairs = |block_results: u32, of: usize| {
            let hw = Hardware { feed: Feed { block_results, ..base.feed }, ..base.clone() };
            let some = layers.iter().zip(ours).filter(|(l, _)| half(&format!("{} {}", l.net, l.name)) == of);
            let cycles = |p: &Predicted| time(&p.model, &hw).map_or(f64::NAN, |t| compute(&t));
            some.map(|(l, p)| (cycles(p), theirs(l))).filter(|(o, t)| *o > 0.0 && *t > 0.0).collect::<Vec<_>>()
        };
        let far = |size: u32| pairs(size, own).iter().map(|(o, t)| (o / t).ln().abs()).sum::<f64>();
        let chosen = BLOCKS.into_iter().min_by(|a, b| far(*a).total_cmp(&far(*b))).unwrap_or_default();
        let names = ["first", "second"];
        let what = format!("… blocks of {chosen}, best on the {} half, on the {}", names[own], names[1 - own]);
        line(out, &what, &pairs(chosen, 1 - own));
    }
    Ok(())
}

/// ZigZag: each layer by itself.
///
/// # Errors
/// When a table is broken or a layer does not compile.
pub(crate) fn zigzag() -> Result<String, String> {
    let layers = layers(ZIGZAG_LAYERS)?;
    let march = march("zigzag-tpu-like")?;
    let ours = predicted(&layers, &march)?;
    let mut out = HEAD.to_owned();
    let pairs = |only: Option<&str>| {
        let all = layers.iter().zip(&ours).filter(|(l, _)| only.is_none_or(|k| kind(l) == k));
        all.map(|(l, p)| (p.timing.cycles as f64, l.figures[0])).collect::<Vec<_>>()
    };
    line(&mut out, "zigzag-tpu-like: layer cycles", &pairs(None));
    for k in ["1 × 1 convolutions", "larger convolutions", "others"] {
        line(&mut out, &format!("… {k}"), &pairs(Some(k)));
    }
    out += "\n| layer | ours | ZigZag | ratio |\n| --- | --- | --- | --- |\n";
    for (l, p) in layers.iter().zip(&ours) {
        let ratio = p.timing.cycles as f64 / l.figures[0];
        if !(RATIO.0..=RATIO.1).contains(&ratio) {
            let _ = writeln!(out, "| {} {} | {} | {:.0} | {ratio:.2} |", l.net, l.name, p.timing.cycles, l.figures[0]);
        }
    }
    Ok(out)
}

/// SCALE-Sim's closed form, weight stationary on 32 × 32: cycles of the array alone.
///
/// # Errors
/// When a layer does not compile.
pub(crate) fn scalesim() -> Result<String, String> {
    let all = layers(VELA_LAYERS)?;
    let dense: Vec<Layer> = all.into_iter().filter(|l| l.kind == "conv" || l.kind == "fc").collect();
    let march = march("scalesim-32x32")?;
    let ours = predicted(&dense, &march)?;
    let form = |l: &Layer| {
        let [_, _, ic, oh, ow, oc] = l.extents.map(|e| e as f64);
        let folds = |n: f64| (n / 32.0).ceil();
        folds((l.kernel * l.kernel) as f64 * ic) * folds(oc) * (oh * ow + 94.0)
    };
    let pairs = |some: fn(&Layer) -> bool| {
        let some = dense.iter().zip(&ours).filter(|(l, _)| some(l));
        some.map(|(l, p)| (compute(&p.timing), form(l))).collect::<Vec<_>>()
    };
    let mut out = HEAD.to_owned();
    line(&mut out, "array cycles, all layers", &pairs(|_| true));
    line(&mut out, "… fewer than 196 pixels", &pairs(|l| l.extents[3] * l.extents[4] < 196));
    Ok(out)
}

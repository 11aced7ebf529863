//! Drawings of an analysis, each one `<svg>`: losses node by node, distributions with their ranges, ranges of channels.

use crate::analysis::graph::{color, escape, loss};
use ptq_calibrate::{Analysis, ValueAnalysis};
use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 120.0;
/// Losses are drawn from this one, as the foot of the chart, to 1.
const LEAST: f64 = 1e-8;

/// Loss (1 - cosine, logarithmic) of each node in the order of the graph: bars alone, a line for what has accumulated.
pub(super) fn losses(a: &Analysis) -> String {
    let mut nodes: Vec<_> = a.nodes.iter().collect();
    nodes.sort_by_key(|n| a.graph.iter().position(|g| g.node == n.node));
    let step = 11.0;
    let (width, height, left) = (60.0 + step * nodes.len() as f64, 220.0, 50.0);
    let y = |loss: f64| {
        let share = (loss.clamp(LEAST, 1.0) / LEAST).log10() / (1.0 / LEAST).log10();
        10.0 + (height - 20.0) * (1.0 - share)
    };
    let mut out = format!("<svg width=\"{width}\" height=\"{height}\" font-size=\"10\">");
    for power in (-8..=0).step_by(2) {
        let at = y(10f64.powi(power));
        let _ = write!(
            out,
            "<line x1=\"{left}\" x2=\"{width}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/><text x=\"2\" y=\"{:.1}\">1e{power}</text>",
            at + 3.0
        );
    }
    let mut line = Vec::new();
    for (i, n) in nodes.iter().enumerate() {
        let (x, top) = (left + step * i as f64, y(loss(&n.alone.both)));
        let _ = write!(
            out,
            "<a href=\"#n-{0}\"><rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{1:.1}\" height=\"{2:.1}\" fill=\"{3}\"><title>{0}: alone {4:.3e}, accumulated {5:.3e}</title></rect></a>",
            escape(&n.node),
            step - 2.0,
            (height - 10.0 - top).max(0.5),
            color(loss(&n.alone.both)),
            loss(&n.alone.both),
            loss(&n.accumulated.both)
        );
        line.push(format!("{:.1},{:.1}", x + step / 2.0 - 1.0, y(loss(&n.accumulated.both))));
    }
    let _ = write!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"#334\"/></svg>", line.join(" "));
    out
}

/// The distribution of a value (heights logarithmic) with its chosen range.
pub(super) fn distribution(v: &ValueAnalysis) -> String {
    let (Some(min), Some(max)) = (v.min, v.max) else {
        return format!("<p>nothing was observed of {}: {}</p>", escape(&v.name), escape(&v.method));
    };
    let (min, max) = (f64::from(min).min(f64::from(v.lo)), f64::from(max).max(f64::from(v.hi)));
    let x = |value: f64| (value - min) / (max - min).max(f64::MIN_POSITIVE) * WIDTH;
    let (from, to) = (x(f64::from(v.min.unwrap_or(0.0))), x(f64::from(v.max.unwrap_or(0.0))));
    let most = v.histogram.iter().copied().max().unwrap_or(1).max(1) as f64;
    let step = (to - from) / v.histogram.len().max(1) as f64;
    let mut out = format!("<svg width=\"{WIDTH}\" height=\"{}\" font-size=\"10\">", HEIGHT + 16.0);
    for (i, &count) in v.histogram.iter().enumerate().filter(|(_, c)| **c > 0) {
        let high = (1.0 + count as f64).ln() / (1.0 + most).ln() * HEIGHT;
        let _ = write!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{high:.1}\" fill=\"#9ab\"><title>{count}</title></rect>",
            from + i as f64 * step,
            HEIGHT - high,
            step.max(0.5)
        );
    }
    for (end, anchor) in [(v.lo, "start"), (v.hi, "end")] {
        let at = x(f64::from(end));
        let _ = write!(
            out,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{HEIGHT}\" stroke=\"#c33\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{end:.5}</text>",
            HEIGHT + 12.0
        );
    }
    out + "</svg>"
}

/// Ranges of channels as upright bars, with the range that holds for all where there is one.
pub(super) fn channels(ranges: &[(f32, f32)], chosen: Option<(f32, f32)>) -> String {
    let ends = ranges.iter().copied().chain(chosen).map(|(lo, hi)| (f64::from(lo), f64::from(hi)));
    let (min, max) = ends.fold((0f64, 0f64), |a, b| (a.0.min(b.0), a.1.max(b.1)));
    let y = |value: f64| (max - value) / (max - min).max(f64::MIN_POSITIVE) * HEIGHT;
    let step = WIDTH / ranges.len().max(1) as f64;
    let mut out = format!("<svg width=\"{WIDTH}\" height=\"{HEIGHT}\">");
    for (i, &(lo, hi)) in ranges.iter().enumerate().filter(|(_, r)| r.0 <= r.1) {
        let _ = write!(
            out,
            "<rect x=\"{:.2}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{:.1}\" fill=\"#7a9\"><title>{i}: {lo}..{hi}</title></rect>",
            i as f64 * step,
            y(f64::from(hi)),
            (step * 0.85).max(0.3),
            (y(f64::from(lo)) - y(f64::from(hi))).max(0.5)
        );
    }
    for end in chosen.into_iter().flat_map(|(lo, hi)| [lo, hi]) {
        let at = y(f64::from(end));
        let _ = write!(out, "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#c33\"/>");
    }
    out + "</svg>"
}

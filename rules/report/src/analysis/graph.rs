//! The graph of an analysis as one `<svg>`: nodes in rows by how far they are from the inputs, coloured by what they cost alone.

use ptq_calibrate::{Analysis, Errors};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const BOX: (f64, f64) = (190.0, 26.0);
const GAP: (f64, f64) = (16.0, 20.0);
/// Nodes that are drawn; a larger graph's first ones.
const MOST: usize = 2000;

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `1 - cosine`; 1 where the cosine is not a number.
pub(super) fn loss(e: &Errors) -> f64 {
    e.cosine.map_or(1.0, |c| (1.0 - c).max(0.0))
}

/// From green (1e-7 and less) over yellow to red (1e-2 and more).
pub(super) fn color(loss: f64) -> String {
    let share = ((loss.max(1e-7).log10() + 7.0) / 5.0).clamp(0.0, 1.0);
    format!("hsl({:.0},70%,72%)", 120.0 * (1.0 - share))
}

pub(super) fn graph(a: &Analysis) -> String {
    let nodes = &a.graph[..a.graph.len().min(MOST)];
    let alone: BTreeMap<&str, f64> = a.nodes.iter().map(|n| (n.node.as_str(), loss(&n.alone.both))).collect();
    let mut row: Vec<usize> = Vec::new();
    let mut count: BTreeMap<usize, usize> = BTreeMap::new();
    let mut place: Vec<(f64, f64)> = Vec::new();
    for node in nodes {
        let at = node.reads.iter().filter_map(|r| row.get(*r)).map(|r| r + 1).max().unwrap_or(0);
        let column = count.entry(at).or_default();
        place.push((10.0 + *column as f64 * (BOX.0 + GAP.0), 10.0 + at as f64 * (BOX.1 + GAP.1)));
        *column += 1;
        row.push(at);
    }
    let width = 20.0 + count.values().copied().max().unwrap_or(1) as f64 * (BOX.0 + GAP.0);
    let height = 20.0 + count.len() as f64 * (BOX.1 + GAP.1);
    let mut out = format!("<svg width=\"{width}\" height=\"{height}\" font-size=\"10\">");
    for (node, to) in nodes.iter().zip(&place) {
        for from in node.reads.iter().filter_map(|r| place.get(*r)) {
            let (x0, y0, x1, y1) = (from.0 + BOX.0 / 2.0, from.1 + BOX.1, to.0 + BOX.0 / 2.0, to.1);
            let middle = (y0 + y1) / 2.0;
            let _ = write!(
                out,
                "<path d=\"M{x0:.0} {y0:.0} C{x0:.0} {middle:.0} {x1:.0} {middle:.0} {x1:.0} {y1:.0}\" fill=\"none\" stroke=\"#999\"/>"
            );
        }
    }
    for (node, (x, y)) in nodes.iter().zip(&place) {
        let found = alone.get(node.node.as_str());
        let fill = match (found, &node.absorbed_by, node.on.as_str()) {
            (Some(loss), _, _) => color(*loss),
            (None, Some(_), _) => "#eef".to_owned(),
            (None, None, "CPU") => "#ddd".to_owned(),
            (None, None, _) => "#f6f6f6".to_owned(),
        };
        let told = match (found, &node.absorbed_by) {
            (Some(loss), _) => format!("loss alone {loss:.3e}"),
            (None, Some(by)) => format!("part of {by}"),
            (None, None) => format!("on the {}", node.on),
        };
        let (name, op) = (escape(&node.node), escape(&node.op));
        let shown: String = node.node.chars().rev().take(22).collect::<Vec<_>>().into_iter().rev().collect();
        let _ = write!(
            out,
            "<a href=\"#n-{name}\"><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"{fill}\" stroke=\"#888\"/>\
             <text x=\"{}\" y=\"{}\">{op}: {}</text><title>{op} {name}: {}</title></a>",
            BOX.0,
            BOX.1,
            x + 6.0,
            y + 17.0,
            escape(&shown),
            escape(&told)
        );
    }
    if a.graph.len() > MOST {
        let _ = write!(out, "<text x=\"10\" y=\"{height}\">… and {} more nodes</text>", a.graph.len() - MOST);
    }
    out + "</svg>"
}

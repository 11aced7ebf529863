//! Cuts: pieces of a graph on the CPU, and what each costs the BPU pieces beside it. Called by `ptq check`.

use crate::{Border, NodePlacement, Placement, borders};
use ptq_ir::{Device, Graph, ValueId};
use serde::Serialize;
use std::collections::BTreeMap;

/// Where a CPU piece lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In front of all BPU pieces that it feeds.
    Head,
    /// Between BPU pieces.
    Cut,
    /// Behind the BPU pieces that feed it.
    Tail,
    /// Beside the BPU.
    Apart,
}

impl Place {
    /// The place of a piece that BPU results reach, or that BPU nodes read.
    pub fn of(before: bool, after: bool) -> Place {
        match (before, after) {
            (true, true) => Place::Cut,
            (false, true) => Place::Head,
            (true, false) => Place::Tail,
            (false, false) => Place::Apart,
        }
    }

    /// For tables.
    pub fn word(self) -> &'static str {
        match self {
            Place::Head => "head",
            Place::Cut => "cut",
            Place::Tail => "tail",
            Place::Apart => "apart",
        }
    }
}

/// CPU nodes that hang together without a BPU node between them, and their borders; or a border of a model input or
/// output without such nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Where it lies.
    pub place: Place,
    /// CPU nodes in order of the graph.
    pub nodes: Vec<String>,
    /// Values that are converted.
    pub values: Vec<String>,
    /// Elements that Quantize converts: one division, one rounding, one clamp each.
    pub quantize_elements: u64,
    /// Elements that Dequantize converts: one subtraction and one product each.
    pub dequantize_elements: u64,
    /// Bytes that the borders read and write.
    pub bytes: u64,
}

/// Every CPU piece with a border, the one whose borders move most first.
pub fn cuts(graph: &Graph, placement: &Placement) -> Vec<Cut> {
    let mut pieces = Pieces { parent: (0..graph.values.len()).collect() };
    let on_cpu = |row: &NodePlacement| row.on == Device::Cpu;
    for (_, node) in graph.nodes().filter(|(id, _)| on_cpu(&placement.nodes[id.0 as usize])) {
        let touched = || node.inputs.iter().flatten().chain(&node.outputs).filter(|&&v| graph.constant(v).is_none());
        let mut each = touched();
        let Some(&first) = each.next() else { continue };
        each.for_each(|&v| pieces.join(first, v));
    }
    let at: BTreeMap<&str, ValueId> =
        graph.values.iter().enumerate().map(|(i, v)| (v.name.as_str(), ValueId(i as u32))).collect();
    let mut found = BTreeMap::<usize, (Vec<Border>, Vec<String>)>::new();
    for border in borders(graph, placement) {
        let Some(&v) = at.get(border.value.as_str()) else { continue };
        found.entry(pieces.root(v)).or_default().0.push(border);
    }
    for (id, node) in graph.nodes().filter(|(id, _)| on_cpu(&placement.nodes[id.0 as usize])) {
        let piece = node.outputs.first().map(|&v| pieces.root(v)).and_then(|root| found.get_mut(&root));
        piece.into_iter().for_each(|(_, nodes)| nodes.push(placement.nodes[id.0 as usize].name.clone()));
    }
    let mut out: Vec<Cut> = found.into_values().map(|(borders, nodes)| cut(&borders, nodes)).collect();
    out.sort_by_key(|c| std::cmp::Reverse(c.bytes));
    out
}

fn cut(borders: &[Border], nodes: Vec<String>) -> Cut {
    let elements = |kind| borders.iter().filter(|b| b.kind == kind).map(|b| b.elements).sum();
    let has = |kind| borders.iter().any(|b| b.kind == kind);
    let mut values: Vec<String> = borders.iter().map(|b| b.value.clone()).collect();
    values.dedup();
    Cut {
        place: Place::of(has("Dequantize"), has("Quantize")),
        nodes,
        values,
        quantize_elements: elements("Quantize"),
        dequantize_elements: elements("Dequantize"),
        bytes: borders.iter().map(|b| b.bytes).sum(),
    }
}

/// Values that hang together.
struct Pieces {
    parent: Vec<usize>,
}

impl Pieces {
    fn root(&self, v: ValueId) -> usize {
        let mut at = v.0 as usize;
        while self.parent[at] != at {
            at = self.parent[at];
        }
        at
    }

    fn join(&mut self, a: ValueId, b: ValueId) {
        let (a, b) = (self.root(a), self.root(b));
        // The smaller number stays, so that chains are short and the order of nodes cannot be seen.
        self.parent[a.max(b)] = a.min(b);
    }
}

//! Cuts: pieces of a graph on the CPU, and what each costs the BPU pieces beside it. Called by `ptq check`.

use crate::{Border, NodePlacement, Placement};
use ptq_ir::{Device, Graph, Node, ValueId};
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
    /// Operations of the borders: three for each element that is quantized, two for each that is dequantized.
    pub border_operations: u64,
    /// Operations of the CPU nodes: two for each multiplication that is added up (Conv, ConvTranspose, MatMul, Gemm), else one for
    /// each element of the larger of inputs and results; none for nodes that only rename their input's elements.
    pub node_operations: u64,
}

/// Every CPU piece with one of these borders, the piece whose borders move most first.
pub fn cuts(graph: &Graph, placement: &Placement, borders: &[Border]) -> Vec<Cut> {
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
    for border in borders {
        let Some(&v) = at.get(border.value.as_str()) else { continue };
        found.entry(pieces.root(v)).or_default().0.push(border.clone());
    }
    for (id, node) in graph.nodes().filter(|(id, _)| on_cpu(&placement.nodes[id.0 as usize])) {
        let piece = node.outputs.first().map(|&v| pieces.root(v)).and_then(|root| found.get_mut(&root));
        piece.into_iter().for_each(|(_, nodes)| nodes.push(placement.nodes[id.0 as usize].name.clone()));
    }
    let mut out: Vec<Cut> = found.into_values().map(|(borders, nodes)| cut(graph, &borders, nodes)).collect();
    out.sort_by_key(|c| std::cmp::Reverse(c.bytes));
    out
}

fn cut(graph: &Graph, borders: &[Border], nodes: Vec<String>) -> Cut {
    let elements = |kind| borders.iter().filter(|b| b.kind == kind).map(|b| b.elements).sum::<u64>();
    let has = |kind| borders.iter().any(|b| b.kind == kind);
    let mut values: Vec<String> = borders.iter().map(|b| b.value.clone()).collect();
    values.dedup();
    let node_operations =
        nodes.iter().filter_map(|n| graph.find_node(n)).map(|id| operations(graph, graph.node(id))).sum();
    Cut {
        place: Place::of(has("Dequantize"), has("Quantize")),
        nodes,
        values,
        quantize_elements: elements("Quantize"),
        dequantize_elements: elements("Dequantize"),
        bytes: borders.iter().map(|b| b.bytes).sum(),
        border_operations: 3 * elements("Quantize") + 2 * elements("Dequantize"),
        node_operations,
    }
}

/// Operations of a float node, as [`Cut::node_operations`] counts them.
fn operations(graph: &Graph, node: &Node) -> u64 {
    let shape = |i: usize| node.input(i).map_or(&[][..], |v| &graph.value(v).shape);
    let elements = |v: ValueId| graph.value(v).shape.iter().map(|&d| d as u64).product::<u64>();
    let made = node.outputs.iter().map(|&v| elements(v)).sum::<u64>();
    let taps = || shape(1).iter().skip(1).map(|&d| d as u64).product::<u64>();
    let read = || node.inputs.iter().flatten().filter(|&&v| graph.constant(v).is_none()).map(|&v| elements(v));
    match node.op.as_str() {
        "Conv" => 2 * made * taps(),
        "ConvTranspose" => 2 * read().take(1).sum::<u64>() * taps(),
        "MatMul" => 2 * made * shape(0).last().map_or(1, |&d| d as u64),
        "Gemm" => {
            let k = if node.attrs.int("transA", 0) == 0 { shape(0).last() } else { shape(0).first() };
            2 * made * k.map_or(1, |&d| d as u64)
        }
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Identity" => 0,
        _ => made.max(read().sum()),
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

//! Which values carry a scale under a placement, and where it comes from.

use crate::rules::float_only::finds;
use crate::{NodePlacement, Placement};
use ptq_ir::{Device, Graph, Node, NodeId, ValueId};
use ptq_march::Class;
use std::collections::{BTreeMap, BTreeSet};

/// Where the scale of a quantized value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Its own calibrated range.
    Own,
    /// The scale of this value, which a passive node moved here.
    Shared(ValueId),
}

/// The value that a node's integer result stands for: the output of the activation it absorbs, or its own.
pub fn absorbed_output(graph: &Graph, placement: &Placement, id: NodeId) -> Option<ValueId> {
    let node = graph.node(id);
    let absorbed = placement.nodes.iter().position(|p| p.absorbed_by.as_deref() == Some(node.name.as_str()));
    let last = absorbed.map_or(node, |i| &graph.nodes[i]);
    last.outputs.first().copied()
}

/// Every value that is an int8 or uint8 tensor under this placement: dynamic inputs and results of BPU nodes, int32
/// results, places and truths excepted.
pub fn scales(graph: &Graph, placement: &Placement) -> BTreeMap<ValueId, Scale> {
    let mut out = BTreeMap::new();
    for (id, node) in graph.nodes() {
        let row = &placement.nodes[id.0 as usize];
        if row.on != Device::Bpu || row.absorbed_by.is_some() || reads_int32(graph, placement, node) {
            continue;
        }
        for &v in node.inputs.iter().flatten().filter(|v| graph.constant(**v).is_none()) {
            out.entry(v).or_insert(Scale::Own);
        }
        if row.int32 || finds(node) {
            continue;
        }
        if let Some(result) = absorbed_output(graph, placement, id) {
            let source = if copies_values(row) { node.input(0) } else { None };
            let scale = source.map_or(Scale::Own, Scale::Shared);
            out.insert(result, scale);
            // Split: every part is a copy.
            out.extend(node.outputs.iter().skip(1).map(|&part| (part, scale)));
        }
    }
    out
}

/// The values that are int16 tensors under this placement.
pub fn words(graph: &Graph, placement: &Placement) -> BTreeSet<ValueId> {
    let (mut out, mut made) = (BTreeSet::new(), BTreeSet::new());
    let computing = || {
        let rows = placement.nodes.iter();
        graph.nodes().zip(rows).filter(|(_, row)| row.on == Device::Bpu && row.absorbed_by.is_none())
    };
    for ((id, node), row) in computing() {
        let results = absorbed_output(graph, placement, id).into_iter().chain(node.outputs.iter().copied());
        for v in results {
            made.insert(v);
            if row.int16_output {
                out.insert(v);
            }
        }
    }
    for ((_, node), row) in computing() {
        let read = row.int16_inputs.iter().filter_map(|&i| node.input(i));
        out.extend(read.filter(|v| !made.contains(v) && graph.constant(*v).is_none()));
    }
    out
}

/// Whether a node's results are copies of its input's elements, so that both have one scale.
fn copies_values(row: &NodePlacement) -> bool {
    row.class == Class::Passive || ["Resize", "ReduceMax", "GridSample"].contains(&row.op.as_str())
}

/// Whether a passive node moves int32 accumulators.
fn reads_int32(graph: &Graph, placement: &Placement, node: &Node) -> bool {
    let row = graph.find_node(&node.name).map(|id| &placement.nodes[id.0 as usize]);
    row.is_some_and(|r| r.int32 && r.class == Class::Passive)
}

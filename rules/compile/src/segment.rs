//! What flows between segments.

use ptq_ir::{QGraph, QNode, TensorId};
use std::collections::BTreeSet;

/// A segment's nodes and the tensors that cross its border.
pub(crate) struct SegmentNodes<'a> {
    /// Nodes in order.
    pub(crate) nodes: Vec<&'a QNode>,
    /// Tensors from outside, constants excluded, in order of first use.
    pub(crate) inputs: Vec<TensorId>,
    /// Tensors that are read outside, in order of making.
    pub(crate) outputs: Vec<TensorId>,
}

/// Splits a program into its segments. Every id must exist.
pub(crate) fn split(graph: &QGraph) -> Vec<SegmentNodes<'_>> {
    let of = |index: usize| {
        let nodes: Vec<&QNode> = graph.nodes.iter().filter(|n| n.segment.0 as usize == index).collect();
        let made: BTreeSet<TensorId> = nodes.iter().flat_map(|n| n.outputs.iter().copied()).collect();
        let elsewhere = graph.nodes.iter().filter(|n| n.segment.0 as usize != index).flat_map(|n| &n.inputs);
        let wanted: BTreeSet<TensorId> = elsewhere.chain(&graph.outputs).copied().collect();
        let mut inputs = Vec::new();
        for &id in nodes.iter().flat_map(|n| &n.inputs) {
            if !made.contains(&id) && graph.tensor(id).data.is_none() && !inputs.contains(&id) {
                inputs.push(id);
            }
        }
        let outputs = nodes.iter().flat_map(|n| n.outputs.iter().copied()).filter(|id| wanted.contains(id)).collect();
        SegmentNodes { nodes, inputs, outputs }
    };
    (0..graph.segments.len()).map(of).collect()
}

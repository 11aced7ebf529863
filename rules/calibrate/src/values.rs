//! Which values are observed.

use ptq_ir::{DType, Graph, ValueId, ops};
use ptq_place::Scale;
use std::collections::{BTreeMap, BTreeSet};

/// Operators whose result has exactly its input's elements.
const MOVES: [&str; 5] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"];

/// The value whose elements a value has: itself, or the origin of a chain of moves.
pub(crate) fn origin(graph: &Graph, mut v: ValueId) -> ValueId {
    let producers = graph.producers();
    while let Some(id) = producers[v.0 as usize] {
        let node = graph.node(id);
        match node.input(0) {
            Some(x) if MOVES.iter().any(|op| node.is(op)) && graph.constant(x).is_none() => v = x,
            _ => break,
        }
    }
    v
}

/// The values to observe, the same for every march so that marches share observations: every float32 value except
/// moved copies and what only feeds a Relu-like activation that every march can fuse into a Conv; plus what this placement needs besides.
pub(crate) fn observed(graph: &Graph, scales: &BTreeMap<ValueId, Scale>) -> Vec<ValueId> {
    let consumers = graph.consumers();
    let mut out: BTreeSet<ValueId> =
        scales.iter().filter(|(_, s)| **s == Scale::Own).map(|(&v, _)| origin(graph, v)).collect();
    let made = graph.nodes.iter().flat_map(|n| &n.outputs).copied();
    for v in graph.inputs.iter().copied().chain(made) {
        let only_reader = match consumers[v.0 as usize][..] {
            [c] if !graph.is_output(v) => Some(graph.node(c)),
            _ => None,
        };
        let hidden = only_reader.is_some_and(|n| {
            n.fusible_into.as_ref().and_then(|p| graph.find_node(p)).is_some_and(|p| graph.node(p).is("Conv"))
                && matches!(
                    ops::activation_of(graph, n),
                    Some(ptq_ir::Activation::Relu | ptq_ir::Activation::Clip { min: 0.0, .. })
                )
        });
        if graph.value(v).dtype == DType::F32 && !hidden && origin(graph, v) == v {
            out.insert(v);
        }
    }
    out.into_iter().collect()
}

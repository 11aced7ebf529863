//! Which values are observed.

use ptq_ir::{DType, Graph, NodeId, ValueId, ops};
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

/// The values that every build observes, whatever its placement, so that marches and requests share observations: every float32
/// value except moved copies and what only feeds a Relu-like activation that every march fuses into its Conv. At a model's tail a
/// request may part the two, so there nothing is left out.
pub(crate) fn shared(graph: &Graph) -> Vec<ValueId> {
    let consumers = graph.consumers();
    let inner = before_another_conv(graph, &consumers);
    let mut out = BTreeSet::new();
    let made = graph.nodes.iter().flat_map(|n| &n.outputs).copied();
    for v in graph.inputs.iter().copied().chain(made) {
        let only_reader = match consumers[v.0 as usize][..] {
            [c] if !graph.is_output(v) => Some(graph.node(c)),
            _ => None,
        };
        let hidden = only_reader.filter(|_| inner.contains(&v)).is_some_and(|n| {
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

/// The values that this placement needs besides.
pub(crate) fn further(graph: &Graph, scales: &BTreeMap<ValueId, Scale>, shared: &[ValueId]) -> Vec<ValueId> {
    let own = scales.iter().filter(|(_, s)| **s == Scale::Own).map(|(&v, _)| origin(graph, v));
    let needed: BTreeSet<ValueId> = own.filter(|v| shared.binary_search(v).is_err()).collect();
    needed.into_iter().collect()
}

/// Values that some Conv further down depends on.
fn before_another_conv(graph: &Graph, consumers: &[Vec<NodeId>]) -> BTreeSet<ValueId> {
    let mut out: BTreeSet<ValueId> = BTreeSet::new();
    for node in graph.nodes.iter().rev() {
        let inner = |v: &ValueId| {
            out.contains(v) || consumers[v.0 as usize].iter().any(|reader| graph.node(*reader).is("Conv"))
        };
        let found: Vec<ValueId> = match node.outputs.iter().any(inner) {
            true => node.inputs.iter().flatten().chain(&node.outputs).copied().collect(),
            false => node.outputs.iter().filter(|v| inner(v)).copied().collect(),
        };
        out.extend(found);
    }
    out
}

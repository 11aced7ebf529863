//! Nodes that only move elements, and nodes that such a node may change places with. Called by FUSE18, FUSE19, FUSE22
//! and `scalar_region`.

use ptq_ir::ops::is_function;
use ptq_ir::{Attr, Graph, Node, NodeId, ValueId, ops};

/// Whether a node gives its input's elements in order, in another shape.
pub(crate) fn is_reshape(node: &Node) -> bool {
    ["Reshape", "Flatten", "Squeeze", "Unsqueeze"].iter().any(|op| node.is(op))
}

/// The axes of a Transpose's input in the order of its output; `None` when they are not a permutation.
pub(crate) fn permutation(graph: &Graph, id: NodeId) -> Option<Vec<usize>> {
    let node = graph.node(id);
    let rank = graph.value(node.input(0)?).shape.len();
    let perm: Vec<usize> = match node.attrs.ints("perm") {
        None => (0..rank).rev().collect(),
        Some(p) => p.iter().map(|&a| ops::axis(a, rank)).collect::<Option<_>>()?,
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    sorted.iter().copied().eq(0..rank).then_some(perm)
}

/// Operators that compute each element from the elements at the same place.
const ELEMENT_WISE: &[&str] = &[
    "Abs",
    "Add",
    "Ceil",
    "Clip",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Tanh",
];

/// Whether a node works element by element on values that broadcast.
pub(crate) fn is_element_wise(node: &Node) -> bool {
    is_function(node) || (node.domain.is_empty() && node.outputs.len() == 1 && ELEMENT_WISE.contains(&node.op.as_str()))
}

/// The inputs of a node that are not constant, each once.
pub(crate) fn dynamic_inputs(graph: &Graph, node: &Node) -> Vec<ValueId> {
    let mut out: Vec<ValueId> =
        node.inputs.iter().flatten().copied().filter(|v| graph.constant(*v).is_none()).collect();
    out.sort();
    out.dedup();
    out
}

/// The axis attribute of a Concat or Softmax, counted from 0.
pub(crate) fn axis_of(node: &Node, rank: usize) -> Option<usize> {
    let default = if node.is("Softmax") { -1 } else { 0 };
    ops::axis(node.attrs.int("axis", default), rank)
}

/// Sets the axis attribute.
pub(crate) fn set_axis(node: &mut Node, axis: usize) {
    node.attrs.set("axis", Attr::Int(axis as i64));
}

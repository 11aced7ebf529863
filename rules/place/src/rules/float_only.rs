//! PLACE04 not-float.

use crate::Reason;
use ptq_ir::{DType, Graph, Node, ValueId};
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE04` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE04",
    name: "not-float",
    summary: "A node that reads or writes other than float32 data runs on the CPU.",
    why: "Only real-valued tensors carry a scale.",
    example: "Gather of int64 -> CPU (reads indices:int64)",
    since: "0.1.0",
};

/// The reason for a node with a dynamic tensor, or a first input, that is not float32. The places that ArgMax and ArgMin find are
/// integers, and what comparisons find is true or false.
pub(crate) fn reason(graph: &Graph, node: &Node) -> Option<Reason> {
    if finds(node) {
        return input_reason(graph, node);
    }
    let dynamic = node.inputs.iter().flatten().filter(|v| graph.constant(**v).is_none());
    dynamic.chain(&node.outputs).find_map(|&v| not_float(graph, v))
}

/// The reason for a node whose first input is not float32.
pub(crate) fn input_reason(graph: &Graph, node: &Node) -> Option<Reason> {
    not_float(graph, node.input(0)?)
}

fn not_float(graph: &Graph, v: ValueId) -> Option<Reason> {
    let v = graph.value(v);
    (v.dtype != DType::F32).then(|| {
        Reason::new(
            META.code,
            format!("{} is {}, only float32 tensors are quantized", v.name, v.dtype),
            format!("nothing while {} is {}; compute it in float32, or outside the model", v.name, v.dtype),
        )
    })
}

/// Whether a node finds a place along an axis, or which of two values is larger: an integer as it is, which has no scale to choose.
pub(crate) fn finds(node: &Node) -> bool {
    node.is("ArgMax") || node.is("ArgMin") || compares(node)
}

/// Whether a node compares two values.
pub(crate) fn compares(node: &Node) -> bool {
    ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"].iter().any(|op| node.is(op))
}

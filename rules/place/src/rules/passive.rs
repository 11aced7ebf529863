//! PLACE08 passive-neighbour.

use crate::Reason;
use ptq_ir::Node;
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE08` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE08",
    name: "passive-neighbour",
    summary: "A passive node runs on the BPU only between nodes that run there.",
    why: "It has no scale of its own; next to float data it would only add conversions.",
    example: "CPU node -> Reshape -> Conv: Reshape on the CPU (its producer runs on the CPU)",
    since: "0.1.0",
};

/// The reason for a passive node next to `neighbour` on the CPU, or at the model's border.
pub(crate) fn reason(node: &Node, neighbour: &Neighbour<'_>) -> Reason {
    let why = match neighbour {
        Neighbour::Input(name) => format!("its input {name} is a model input"),
        Neighbour::Output(name) => format!("its result {name} is a model output"),
        Neighbour::Int32(name) => format!("its producer {name} gives int32 to the CPU as the model's tail"),
        Neighbour::Producer(name, why) => format!("its producer {name} runs on the CPU{why}"),
        Neighbour::Consumer(name, why) => format!("its consumer {name} runs on the CPU{why}"),
    };
    Reason::new(META.code, format!("{} is passive and {why}", node.op))
}

/// What stands next to a passive node and keeps it on the CPU.
pub(crate) enum Neighbour<'a> {
    /// The model's own input.
    Input(&'a str),
    /// The model's own output.
    Output(&'a str),
    /// A tail node whose int32 result is dequantized at once.
    Int32(&'a str),
    /// A producer, and its own reason.
    Producer(&'a str, String),
    /// A consumer, and its own reason.
    Consumer(&'a str, String),
}

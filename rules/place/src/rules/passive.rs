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
    let because = |r: &Reason| format!("runs on the CPU because {} ({})", r.text, r.code);
    let (why, remedy) = match neighbour {
        Neighbour::Input(name) => (
            format!("its input {name} is a model input"),
            format!("move {} out of the model, or behind the first accelerated node", node.name),
        ),
        Neighbour::Output(name) => (
            format!("its result {name} is a model output"),
            format!("move {} out of the model, or in front of the last accelerated node", node.name),
        ),
        Neighbour::Int32(name) => (
            format!("its producer {name} gives int32 to the CPU as the model's tail"),
            format!("put an accelerated node behind {} and ask for it with run_on_bpu", node.name),
        ),
        Neighbour::Producer(name, r) => {
            (format!("its producer {name} {}", because(r)), format!("first move {name}: {}", r.remedy))
        }
        Neighbour::Consumer(name, r) => {
            (format!("its consumer {name} {}", because(r)), format!("first move {name}: {}", r.remedy))
        }
    };
    Reason::new(META.code, format!("passive, {why}"), remedy)
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
    Producer(&'a str, &'a Reason),
    /// A consumer, and its own reason.
    Consumer(&'a str, &'a Reason),
}

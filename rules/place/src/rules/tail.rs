//! PLACE07 tail-precision.

use super::float_only::{compares, finds};
use crate::Reason;
use ptq_ir::Node;
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE07` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE07",
    name: "tail-precision",
    summary: "An active node between the model's last Conv and an output runs on the CPU, so that the Conv can give int32.",
    why: "On the BPU it would round the result to int8 first; precision goes first until run_on_bpu asks otherwise.",
    example: "Conv -> Relu -> output: Conv on the BPU with int32 output, Relu on the CPU",
    since: "0.1.0",
};

/// The reason for an active node behind the tail Conv `conv`.
pub(crate) fn reason(node: &Node, conv: &str) -> Reason {
    Reason::new(
        META.code,
        format!(
            "{} stands behind {conv}, the model's last Conv, which gives int32 for precision and takes nothing behind it along",
            node.op
        ),
        match (compares(node), finds(node)) {
            (true, _) => format!("run_on_bpu = [\"{}\"], which compares int8 values", node.name),
            (_, true) => format!("run_on_bpu = [\"{}\"], which finds places among int8 values", node.name),
            _ => format!("run_on_bpu = [\"{}\"], which makes the output int8", node.name),
        },
    )
}

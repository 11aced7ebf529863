//! PLACE02 limit-exceeded.

use crate::PROPERTIES;
use crate::Reason;
use ptq_ir::{Graph, Node};
use ptq_march::March;
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE02` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE02",
    name: "limit-exceeded",
    summary: "A node outside a limit of its operator runs on the CPU.",
    why: "Limits are facts of the target; the reason names the property, the allowed range and the actual value.",
    example: "Conv kernel 33x33 -> CPU (kernel 33 is outside 1..31)",
    since: "0.1.0",
};

/// The reason for the first limit (in name order) that the node exceeds.
pub(crate) fn reason(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    let entry = march.op.get(&node.op)?;
    for (name, range) in &entry.limits {
        let Some((_, _, measure)) = PROPERTIES.iter().find(|(p, _, _)| p == name) else {
            return Some(Reason::new(
                META.code,
                format!("march {} limits {name}, which this version cannot measure", march.name),
            ));
        };
        let Some(values) = measure(graph, node) else {
            return Some(Reason::new(META.code, format!("{name} of this {} cannot be read", node.op)));
        };
        if let Some(v) = values.iter().find(|&&v| v < range.min || v > range.max) {
            return Some(Reason::new(
                META.code,
                format!("{name} {v} is outside {}..{} of {} on march {}", range.min, range.max, node.op, march.name),
            ));
        }
    }
    None
}

//! PLACE01 no-route.

use crate::Reason;
use ptq_ir::Node;
use ptq_march::{Class, March};
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE01` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE01",
    name: "no-route",
    summary: "An operator that the march's table does not accelerate runs on the CPU.",
    why: "The table lists what the hardware computes; anything else would be invented.",
    example: "Erf  -> CPU (no entry in march bayes)",
    since: "0.1.0",
};

/// The reason for a node without an accelerated route on this march.
pub(crate) fn reason(march: &March, node: &Node) -> Option<Reason> {
    if !node.domain.is_empty() {
        return Some(Reason::new(
            META.code,
            format!("{} is an operator of domain {:?}, which no march accelerates", node.op, node.domain),
        ));
    }
    match march.op.get(&node.op) {
        None => Some(Reason::new(META.code, format!("{} has no accelerated form on march {}", node.op, march.name))),
        Some(entry) if entry.class == Class::Cpu => {
            let note = entry.note.as_deref().map(|n| format!(": {n}")).unwrap_or_default();
            Some(Reason::new(META.code, format!("{} runs on the CPU on march {}{note}", node.op, march.name)))
        }
        Some(_) => None,
    }
}

//! PLACE01 no-route.

use crate::place::is_known;
use crate::{Reason, remedy};
use ptq_ir::ops::CustomOp;
use ptq_ir::{Graph, Node};
use ptq_march::{Class, March, Route};
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
pub(crate) fn reason(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    if let Some(declared) = CustomOp::of(&node.attrs) {
        let (domain, op, name) = (&node.domain, &node.op, &declared.name);
        return Some(Reason::new(
            META.code,
            format!("{domain}.{op} is a custom operator, which the command of [custom_op.{name}] computes"),
            "replace it by standard operators, in the model or with a [[rewrite]]",
        ));
    }
    if !is_known(node) {
        return Some(Reason::new(
            META.code,
            format!("{} is an operator of domain {:?}, which no march accelerates", node.op, node.domain),
            "replace it by standard operators",
        ));
    }
    let fix = |first: &str| remedy::or_another_march(first, march, graph, node);
    let replace =
        format!("replace {} by operators that `ptq ops --march {}` lists as accelerated", node.op, march.name);
    match march.op.get(&node.op) {
        None => {
            let listed = march.elsewhere.as_ref().and_then(|e| e.list_of(&node.op));
            let why = match listed {
                Some("unsupported") => "is refused by the vendor's converter",
                _ => "has no accelerated form",
            };
            Some(Reason::new(META.code, format!("{} {why} on march {}", node.op, march.name), fix(&replace)))
        }
        Some(entry) if entry.route == Route::Replaced && entry.computed => {
            let becomes = entry.becomes.join(" and ");
            let text = format!("{} is accelerated only as {becomes}, and no rule could replace this one", node.op);
            let form = format!("write it in a form that becomes {becomes}: constant weights, 2-D operands");
            Some(Reason::new(META.code, text, fix(&form)))
        }
        Some(entry) if !entry.computed => Some(Reason::new(
            META.code,
            format!(
                "march {} accelerates {}, this version of ptq does not: it runs in float on the CPU",
                march.name, node.op
            ),
            fix(&replace),
        )),
        Some(entry) if entry.class == Class::Cpu => {
            let note = entry.note.as_deref().map(|n| format!(": {n}")).unwrap_or_default();
            Some(Reason::new(
                META.code,
                format!("{} runs on the CPU on march {}{note}", node.op, march.name),
                fix(&replace),
            ))
        }
        Some(_) => None,
    }
}

/// Whether the march's table computes this operator as it is.
pub(crate) fn accelerates(march: &March, node: &Node) -> bool {
    let entry = march.op.get(&node.op).filter(|_| is_known(node));
    entry.is_some_and(|e| e.computed && e.route != Route::Replaced && e.class != Class::Cpu)
}

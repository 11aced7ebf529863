//! PLACE03 attribute-mode.

use crate::{Reason, remedy};
use ptq_ir::{Graph, Node};
use ptq_march::March;
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE03` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE03",
    name: "attribute-mode",
    summary: "A node with a mode that the march does not compute runs on the CPU.",
    why: "Modes change the result; another mode would be a silent approximation.",
    example: "Resize mode=cubic -> CPU (mode cubic, the march computes nearest)",
    since: "0.1.0",
};

/// The reason for the first attribute (in name order) whose word is not among the march's.
pub(crate) fn reason(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    let (name, actual, words) = mismatch(march, node)?;
    let words = words.join(" or ");
    let fix = format!("set {name} to {words}");
    Some(Reason::new(
        META.code,
        format!("{name} {actual} is not computed on march {}, which offers {words}", march.name),
        remedy::or_another_march(&fix, march, graph, node),
    ))
}

/// An attribute, its word, and the words that the march computes, which do not include it.
pub(crate) fn mismatch<'a>(march: &'a March, node: &'a Node) -> Option<(&'a str, &'a str, &'a [String])> {
    march.op.get(&node.op)?.attributes.iter().find_map(|(name, words)| {
        let actual = node.attrs.str(name, words.first().map_or("", String::as_str));
        (!words.iter().any(|w| w == actual)).then_some((name.as_str(), actual, words.as_slice()))
    })
}

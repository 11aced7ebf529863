//! PLACE03 attribute-mode.

use crate::entry::entry;
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
    let (name, actual, words) = mismatch(march, graph, node)?;
    let words = words.join(" or ");
    let fix = format!("set {name} to {words}");
    Some(Reason::new(
        META.code,
        format!("{name} {actual} is not computed on march {}, which offers {words}", march.name),
        remedy::or_another_march(&fix, march, graph, node),
    ))
}

/// The reason for the first attribute whose word the march computes and this version does not.
pub(crate) fn not_yet_reason(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    let (name, actual, words) = not_yet(march, graph, node)?;
    let words = words.join(" or ");
    let text =
        format!("march {} accelerates {} with {name} {actual}, this version of ptq does not", march.name, node.op);
    Some(Reason::new(META.code, text, format!("set {name} to {words}")))
}

/// An attribute, its word, and the words that the march computes, which do not include it.
pub(crate) fn mismatch<'a>(
    march: &'a March,
    graph: &Graph,
    node: &'a Node,
) -> Option<(&'a str, &'a str, Vec<&'a str>)> {
    entry(march, graph, node)?.attributes.iter().find_map(|(name, words)| {
        let actual = word(node, name, words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        (!words.contains(&actual)).then_some((name.as_str(), actual, words))
    })
}

/// An attribute, its word that only the march computes, and the words that this version computes.
pub(crate) fn not_yet<'a>(march: &'a March, graph: &Graph, node: &'a Node) -> Option<(&'a str, &'a str, Vec<&'a str>)> {
    let entry = entry(march, graph, node)?;
    entry.not_yet.iter().find_map(|(name, missing)| {
        let all = entry.attributes.get(name)?;
        let actual = word(node, name, all);
        let computed = all.iter().filter(|w| !missing.contains(w)).map(String::as_str).collect();
        missing.iter().any(|w| w == actual).then_some((name.as_str(), actual, computed))
    })
}

/// The word of an attribute; the first that a march offers is ONNX's default.
fn word<'a>(node: &'a Node, name: &str, words: &'a [String]) -> &'a str {
    node.attrs.str(name, words.first().map_or("", String::as_str))
}

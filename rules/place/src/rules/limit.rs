//! PLACE02 limit-exceeded.

use crate::entry::{self, entry};
use crate::limits::{Words, property};
use crate::{Reason, remedy};
use ptq_ir::{Graph, Node};
use ptq_march::{Class, March, Range, Route};
use ptq_rule::GraphRuleMeta;
use std::collections::BTreeMap;

/// What `ptq rule PLACE02` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE02",
    name: "limit-exceeded",
    summary: "A node outside a limit of its operator runs on the CPU.",
    why: "Limits are facts of the target, or of this version where the reason says so; the reason names the property, the \
          allowed range and the actual value.",
    example: "Conv kernel 33x33 -> CPU (kernel 33 > 31)",
    since: "0.1.0",
};

/// The reason for the first of the target's limits that the node exceeds; the rank comes first, then the order of names.
pub(crate) fn reason(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    let (name, exceeded) = outside(&entry(march, graph, node)?.limits, graph, node)?;
    let whose = format!("the limit of {} on march {}", entry::name(march, graph, node), march.name);
    let text = text(graph, node, name, &exceeded, &whose);
    Some(Reason::new(META.code, text, written_fix(march, graph, node, name, &exceeded)))
}

/// [`reason`] for an operator that is accelerated as others only: a limit says more than that no rule replaced it.
pub(crate) fn of_replaced(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    entry(march, graph, node).filter(|e| e.route == Route::Replaced && e.computed)?;
    reason(march, graph, node)
}

/// The reason for the first limit of this version that the node exceeds.
pub(crate) fn own_reason(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    let (name, exceeded) = outside(&entry(march, graph, node)?.own_limits, graph, node)?;
    let whose = format!("the limit of {} in this version of ptq", entry::name(march, graph, node));
    let text = text(graph, node, name, &exceeded, &whose);
    let text = format!("{text}; march {} has no such limit", march.name);
    Some(Reason::new(META.code, text, written_fix(march, graph, node, name, &exceeded)))
}

fn written_fix(march: &March, graph: &Graph, node: &Node, name: &str, exceeded: &Exceeded) -> String {
    let mut fix = fix(graph, node, name, exceeded);
    if entry(march, graph, node).is_some_and(|e| e.class == Class::Manual) {
        fix = format!("{fix}, and ask for it: run_on_bpu = [\"{}\"]", node.name);
    }
    remedy::or_another_march(&fix, march, graph, node)
}

/// The property, its value and the limit, in a sentence.
pub(crate) fn text(graph: &Graph, node: &Node, name: &str, exceeded: &Exceeded, whose: &str) -> String {
    match (exceeded, words(name)) {
        (Exceeded::Unknown, _) => format!("the march file limits {name}, which this version cannot measure"),
        (Exceeded::Unread, _) => format!("{} of this {} cannot be read, {whose}", shown(name), node.op),
        (Exceeded::Outside(..), Some(Words::Fact { broken, need, .. })) => {
            format!("{}, {whose} is {need}", broken(graph, node))
        }
        (Exceeded::Outside(v, range), _) if range.min == range.max => {
            format!("{} is {}, {whose} is exactly {}", shown(name), grouped(*v), grouped(range.min))
        }
        (Exceeded::Outside(v, range), _) => {
            let (sign, limit) = if *v < range.min { ('<', range.min) } else { ('>', range.max) };
            format!("{} {} {sign} {}, {whose}", shown(name), grouped(*v), grouped(limit))
        }
    }
}

/// What would bring the node inside.
fn fix(graph: &Graph, node: &Node, name: &str, exceeded: &Exceeded) -> String {
    match (exceeded, words(name)) {
        (Exceeded::Unknown, _) => format!("remove the limit {name} from the march file"),
        (Exceeded::Unread, _) => format!("make what gives {} a constant of the model", shown(name)),
        (Exceeded::Outside(..), Some(Words::Fact { fix, .. })) => fix(graph, node),
        (Exceeded::Outside(v, range), _) => number_fix(node, name, *v, *range),
    }
}

fn number_fix(node: &Node, name: &str, v: i64, range: Range) -> String {
    let allowed = match (range.min == range.max, v < range.min) {
        (true, _) => format!("exactly {}", grouped(range.min)),
        (_, true) => format!("at least {}", grouped(range.min)),
        (_, false) => format!("at most {}", grouped(range.max)),
    };
    let subject = shown(name);
    match name {
        "image" | "image_area" | "batch" | "image_batch" | "outer_extent" | "aligned_elements" => {
            format!("split the input so that the {subject} is {allowed}")
        }
        "stepped_axes" => "use one Slice for each axis".to_owned(),
        "rank" if v < range.min => {
            format!("put a Reshape in front of {} and one behind it, so that the {subject} is {allowed}", node.name)
        }
        "inputs" => format!("write it as several {} of two inputs", node.op),
        "changed_axes" => format!("use one {} for each axis", node.op),
        "reduced_axes" => format!("use one {} for each axis", node.op),
        _ => format!("change the model so that the {subject} is {allowed}"),
    }
}

/// Why a node's result has 8 bits whatever is asked, where that is so.
pub(crate) fn narrow(march: &March, graph: &Graph, node: &Node) -> Option<String> {
    let (name, exceeded) = outside(&entry(march, graph, node)?.wide_limits, graph, node)?;
    let whose = format!("the limit of {} on march {} for results of more than 8 bits", node.op, march.name);
    Some(text(graph, node, name, &exceeded, &whose))
}

/// How a node does not meet a limit.
pub(crate) enum Exceeded {
    /// The march limits a property that has no measure.
    Unknown,
    /// The node does not say its value.
    Unread,
    /// A value, and the range that it is outside of.
    Outside(i64, Range),
}

/// Whether a node exceeds any limit of its row.
pub(crate) fn exceeded(march: &March, graph: &Graph, node: &Node) -> bool {
    let Some(entry) = entry(march, graph, node) else { return false };
    [&entry.limits, &entry.own_limits].into_iter().any(|limits| outside(limits, graph, node).is_some())
}

/// The first limit that the node does not meet: the rank, then those with a value in name order, then those without one.
pub(crate) fn outside<'m>(
    limits: &'m BTreeMap<String, Range>,
    graph: &Graph,
    node: &Node,
) -> Option<(&'m str, Exceeded)> {
    let check = |(name, range): (&'m String, &Range)| check(name, *range, graph, node).map(|e| (name.as_str(), e));
    let mut found: Vec<(&str, Exceeded)> = limits.iter().filter_map(check).collect();
    // Without the right rank, other properties have no meaning.
    found.sort_by_key(|(name, e)| (!matches!(e, Exceeded::Outside(..)), *name != "rank"));
    found.into_iter().next()
}

fn check(name: &str, range: Range, graph: &Graph, node: &Node) -> Option<Exceeded> {
    let Some(property) = property(name) else { return Some(Exceeded::Unknown) };
    let Some(values) = (property.measure)(graph, node) else { return Some(Exceeded::Unread) };
    let v = values.into_iter().find(|&v| v < range.min || v > range.max)?;
    Some(Exceeded::Outside(v, range))
}

fn words(name: &str) -> Option<Words> {
    property(name).map(|p| p.words)
}

/// A property's name in sentences.
fn shown(name: &str) -> &str {
    match words(name) {
        Some(Words::Count(shown)) => shown,
        _ => name,
    }
}

/// A number with its thousands apart: `1,048,576`.
fn grouped(v: i64) -> String {
    let digits = v.unsigned_abs().to_string();
    let mut out = String::from(if v < 0 { "-" } else { "" });
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

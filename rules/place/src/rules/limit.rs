//! PLACE02 limit-exceeded.

use crate::{PROPERTIES, Reason, remedy};
use ptq_ir::{Graph, Node};
use ptq_march::{March, Range};
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE02` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE02",
    name: "limit-exceeded",
    summary: "A node outside a limit of its operator runs on the CPU.",
    why: "Limits are facts of the target; the reason names the property, the allowed range and the actual value.",
    example: "Conv kernel 33x33 -> CPU (kernel 33 > 31)",
    since: "0.1.0",
};

/// The reason for the first limit (in name order) that the node exceeds.
pub(crate) fn reason(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    let (name, exceeded) = exceeded(march, graph, node)?;
    let (text, fix) = match exceeded {
        Exceeded::Unknown => (
            format!("march {} limits {name}, which this version cannot measure", march.name),
            format!("remove the limit {name} from the march file"),
        ),
        Exceeded::Unread => {
            (format!("{name} of this {} cannot be read", node.op), format!("make {name} a constant of the model"))
        }
        Exceeded::Outside(v, range) => {
            let (sign, limit) = if v < range.min { ('<', range.min) } else { ('>', range.max) };
            let allowed = format!("{}..{}", grouped(range.min), grouped(range.max));
            let fix = match name {
                "image" | "image_area" | "batch" => format!("split the input so that {} is {allowed}", shown(name)),
                "constant_weights" | "constant_bounds" => "make the operand a constant of the model".to_owned(),
                _ => format!("change the model so that {} is {allowed}", shown(name)),
            };
            let actual = format!("{} {} {sign} {}", shown(name), grouped(v), grouped(limit));
            (format!("{actual}, the limit of {} on march {}", node.op, march.name), fix)
        }
    };
    Some(Reason::new(META.code, text, remedy::or_another_march(&fix, march, graph, node)))
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

/// The first limit (in name order) that the node does not meet.
pub(crate) fn exceeded<'m>(march: &'m March, graph: &Graph, node: &Node) -> Option<(&'m str, Exceeded)> {
    march.op.get(&node.op)?.limits.iter().find_map(|(name, range)| {
        let Some((_, _, measure)) = PROPERTIES.iter().find(|(p, _, _)| p == name) else {
            return Some((name.as_str(), Exceeded::Unknown));
        };
        let Some(values) = measure(graph, node) else { return Some((name.as_str(), Exceeded::Unread)) };
        let v = values.into_iter().find(|&v| v < range.min || v > range.max)?;
        Some((name.as_str(), Exceeded::Outside(v, *range)))
    })
}

/// A property's name in sentences.
fn shown(property: &str) -> &str {
    if property == "image_area" { "H·W" } else { property }
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

//! PLACE03 attribute-mode.

use crate::Reason;
use ptq_ir::Node;
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
pub(crate) fn reason(march: &March, node: &Node) -> Option<Reason> {
    let entry = march.op.get(&node.op)?;
    entry.attributes.iter().find_map(|(name, words)| {
        let actual = node.attrs.str(name, words.first().map_or("", String::as_str));
        (!words.iter().any(|w| w == actual)).then(|| {
            Reason::new(
                META.code,
                format!("{name} {actual} is not computed on march {}, which offers {}", march.name, words.join(", ")),
            )
        })
    })
}

//! Which row of a march's table a node has: that of its operator, or of a form of it with another rank.

use crate::place::is_known;
use ptq_ir::{Graph, Node};
use ptq_march::{March, OpEntry};

/// The row of a node, if its operator has one. Among several forms the one whose rank the node has, else the operator's own.
pub(crate) fn entry<'m>(march: &'m March, graph: &Graph, node: &Node) -> Option<&'m OpEntry> {
    row(march, graph, node).map(|(_, entry)| entry)
}

/// The name of a node's row: its operator, or a form of it such as `Conv 3-D`.
pub(crate) fn name<'m>(march: &'m March, graph: &Graph, node: &'m Node) -> &'m str {
    row(march, graph, node).map_or(&node.op, |(name, _)| name)
}

fn row<'m>(march: &'m March, graph: &Graph, node: &Node) -> Option<(&'m str, &'m OpEntry)> {
    if !is_known(node) {
        return None;
    }
    let rank = node.input(0).map_or(0, |v| graph.value(v).shape.len() as i64);
    let fits = |e: &OpEntry| e.limits.get("rank").is_none_or(|r| (r.min..=r.max).contains(&rank));
    let forms = march.forms(&node.op);
    let fitting = forms.iter().find(|(_, e)| fits(e)).copied();
    fitting.or_else(|| forms.into_iter().find(|(name, _)| *name == node.op))
}

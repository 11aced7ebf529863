//! Which node of the user's model a node belongs to that fusion added. Called by rules that name nodes.

use ptq_ir::{Graph, Node};

/// Operators that fusion adds beside others; their names are the other's and what they are for.
const ADDED: [&str; 3] = ["Reshape", "Transpose", "DepthToSpace"];
const ENDINGS: [&str; 5] = ["_reshape_", "_transpose_input", "_transpose_output", "_blocks", "_part_"];

/// The node that fusion added this one for, if it did.
pub(crate) fn added_for<'g>(graph: &'g Graph, node: &'g Node) -> Option<&'g str> {
    if !ADDED.contains(&node.op.as_str()) || !node.covers.is_empty() {
        return None;
    }
    let base = ENDINGS.iter().filter_map(|e| node.name.rfind(e)).max().and_then(|at| node.name.get(..at))?;
    let stands_for = |n: &Node| n.name == base || n.covers.iter().any(|c| c == base);
    graph.nodes.iter().any(stands_for).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ptq_ir::{Attrs, GraphBuilder};

    #[test]
    fn a_node_that_fusion_added_belongs_to_the_one_beside_it() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 4]);
        let r = b.node("Reshape", "fc_reshape_input", &[x], Attrs::default(), &[1, 4, 1, 1]);
        let y = b.node("Conv", "fc", &[r], Attrs::default(), &[1, 4, 1, 1]);
        b.node("Reshape", "my_reshape_input", &[y], Attrs::default(), &[1, 4]);
        let g = b.finish();
        let found: Vec<_> = g.nodes.iter().map(|n| added_for(&g, n)).collect();
        assert_eq!(found, [Some("fc"), None, None]);
    }
}

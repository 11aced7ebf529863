//! FUSE07 drop-unused.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{Graph, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE07` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE07",
    name: "drop-unused",
    summary: "A node that no model output depends on is removed.",
    why: "It cannot change a result. Left in place it would be calibrated and run, and it would look like a second \
          reader that keeps its neighbours from being fused.",
    example: "relu = Relu(x) -> relu_out:float32[1, 2, 3, 3]\n\
              dead1 = Sigmoid(relu_out) -> dead1_out:float32[1, 2, 3, 3]\n\
              dead2 = Tanh(dead1_out) -> dead2_out:float32[1, 2, 3, 3]\n\
              =>\n\
              relu = Relu(x) -> relu_out:float32[1, 2, 3, 3]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(_: &Graph, links: &Links, id: NodeId) -> bool {
    !links.is_live(id)
}

/// Removes every reader first: nodes are in topological order, so the last dead node has none.
fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let last = (id.0..graph.nodes.len() as u32).rev().map(NodeId).find(|n| !links.is_live(*n));
    edits::remove(graph, last.unwrap_or(id));
    Outcome::Fired
}

//! FUSE19 merge-reshapes.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::moving::is_reshape;
use ptq_ir::{Attrs, Graph, NodeId, Tensor};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE19` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE19",
    name: "merge-reshapes",
    summary: "A Reshape, Flatten, Squeeze or Unsqueeze behind another one becomes one Reshape.",
    why: "None of them moves an element, so only the last shape counts; where that is the first one, nothing is left.",
    example: "flat = Flatten(x) -> flat_out:float32[2, 12]\n\
              rows = Unsqueeze(flat_out, axes) -> rows_out:float32[2, 1, 12]\n\
              =>\n\
              rows = Reshape(x, rows_shape) -> rows_out:float32[2, 1, 12]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let front = links.producer_of(graph, id, 0);
    is_reshape(graph.node(id)) && front.is_some_and(|f| is_reshape(graph.node(f)))
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let (Some(front), Some(&y)) = (links.producer_of(graph, id, 0), graph.node(id).outputs.first()) else {
        return Outcome::Skipped("it has no input or output".to_owned());
    };
    let first = graph.node(front).clone();
    let dims = Tensor::vec_i64(graph.value(y).shape.iter().map(|&d| d as i64).collect());
    if graph.value(y).shape.contains(&0) {
        return Outcome::Skipped("its result is empty".to_owned());
    }
    let name = graph.fresh_value_name(&format!("{}_shape", graph.node(id).name));
    let dims = graph.add_constant(name, dims);
    let node = &mut graph.nodes[id.0 as usize];
    node.op = "Reshape".to_owned();
    node.inputs = vec![first.input(0), Some(dims)];
    node.attrs = Attrs::default();
    // A first one that others read stays for them.
    let alone = first.outputs.iter().all(|v| links.readers(*v).len() == 1 && !graph.is_output(*v));
    if alone {
        edits::absorb(graph, id, &[front, id]);
    }
    Outcome::Fired
}

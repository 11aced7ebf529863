//! FUSE18 merge-transposes.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::moving::permutation;
use ptq_ir::{Attr, Graph, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE18` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE18",
    name: "merge-transposes",
    summary: "A Transpose of a Transpose becomes one; a pair that undoes itself disappears.",
    why: "Each one is a pass over memory. Models of channels-last frameworks wrap every convolution into such a pair.",
    example: "there = Transpose(x) -> there_out:float32[1, 4, 5, 3]\n\
              back = Transpose(there_out) -> back_out:float32[1, 3, 4, 5]\n\
              relu = Relu(back_out) -> relu_out:float32[1, 3, 4, 5]\n\
              =>\n\
              relu = Relu(x) -> relu_out:float32[1, 3, 4, 5]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let front = links.producer_of(graph, id, 0);
    graph.node(id).is("Transpose") && front.is_some_and(|f| graph.node(f).is("Transpose"))
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let front = links.producer_of(graph, id, 0);
    let perms = front.and_then(|f| Some((f, permutation(graph, f)?, permutation(graph, id)?)));
    let Some((front, first, second)) = perms else {
        return Outcome::Skipped("its permutation does not name every axis once".to_owned());
    };
    let first_node = graph.node(front).clone();
    let perm = second.iter().map(|&p| first[p] as i64).collect();
    let node = &mut graph.nodes[id.0 as usize];
    node.inputs = vec![first_node.input(0)];
    node.attrs.set("perm", Attr::Ints(perm));
    // A first Transpose that others read stays for them.
    let alone = first_node.outputs.iter().all(|v| links.readers(*v).len() == 1 && !graph.is_output(*v));
    if alone {
        edits::absorb(graph, id, &[front, id]);
    }
    Outcome::Fired
}

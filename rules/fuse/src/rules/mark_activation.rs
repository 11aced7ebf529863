//! FUSE08 mark-activation.

use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{Activation, Graph, NodeId, ops};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE08` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE08",
    name: "mark-activation",
    summary: "A Relu or Clip that alone reads a Conv or Add is marked as computable by it.",
    why: "Clamping the integer result of the producer computes the activation for free. Only placement knows whether \
          the producer can (a tail Conv with int32 output cannot), so the node stays and carries a mark.",
    example: "conv = Conv(x, conv_w, conv_b) -> conv_out:float32[1, 2, 3, 3]\n\
              relu = Relu(conv_out) -> relu_out:float32[1, 2, 3, 3]\n\
              =>\n\
              conv = Conv(x, conv_w, conv_b) -> conv_out:float32[1, 2, 3, 3]\n\
              relu = Relu(conv_out) fusible into conv -> relu_out:float32[1, 2, 3, 3]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Hide };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let producer = links.producer_of(graph, id, 0).map(|p| graph.node(p));
    let Some(producer) = producer.filter(|p| p.is("Conv") || p.is("Add")) else { return false };
    (node.is("Relu") || node.is("Clip")) && node.fusible_into.as_ref() != Some(&producer.name)
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    match guard(graph, links, id) {
        Ok(producer) => {
            graph.nodes[id.0 as usize].fusible_into = Some(producer);
            Outcome::Fired
        }
        Err(reason) => Outcome::Skipped(reason),
    }
}

/// Name of the node that may compute the activation.
fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<String, String> {
    let node = graph.node(id);
    let x = node.input(0).ok_or("its input is missing")?;
    let producer = links.producer(x).ok_or("no node makes its input")?;
    match ops::activation_of(graph, node) {
        None => return Err("its bounds are not constant".to_owned()),
        Some(Activation::Clip { min, max }) if !(min <= 0.0 && 0.0 <= max) => {
            return Err(format!("its range {min}..{max} does not contain 0"));
        }
        Some(_) => {}
    }
    match links.also_seen(graph, x, id) {
        Some(who) => Err(who),
        None => Ok(graph.node(producer).name.clone()),
    }
}

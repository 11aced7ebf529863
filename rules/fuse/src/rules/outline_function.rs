//! FUSE13 outline-function.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::scalar_region::{Region, regions};
use ptq_ir::ops::{FUNCTION, FUNCTION_DOMAIN, is_function};
use ptq_ir::{Graph, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE13` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE13",
    name: "outline-function",
    summary: "Two or more element-wise nodes with one input and constant operands (SiLU, GELU, Mish, a scaled HardSwish) \
              become one node, a function of one number.",
    why: "On 8-bit integers any function of one number is a table of 256 results: one node instead of several, and one \
          rounding at its end instead of one behind each part. The node keeps its parts as steps; files that are written \
          for other tools show the parts, so float results do not change by a bit. A Relu or Clip that a Conv or Add in \
          front may compute stays outside, and so do roots, logarithms and quotients, whose arguments span too many \
          powers of two for 8 bits.",
    example: "gate = Sigmoid(x) -> gate_out:float32[1, 2, 3, 3]\n\
              silu = Mul(x, gate_out) -> silu_out:float32[1, 2, 3, 3]\n\
              =>\n\
              silu = Function(x) of Sigmoid(x); Mul(x, %0) -> silu_out:float32[1, 2, 3, 3]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Hide };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    find(graph, links, id).is_some()
}

/// The largest region of at least two nodes.
fn find(graph: &Graph, links: &Links, id: NodeId) -> Option<Region> {
    let producers = |n: NodeId| links.producer_of(graph, n, 0);
    let grow = |g: &Graph, n: NodeId| is_smooth(g, n) && !is_fusible(g, n, producers(n));
    regions(graph, links, id, grow).pop().filter(|r| r.nodes.len() > 1)
}

/// Whether 8 bits of the argument give a useful result for any range of it.
fn is_smooth(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    match node.op.as_str() {
        _ if is_function(node) => true,
        "Exp" | "Log" | "Reciprocal" | "Sqrt" => false,
        "Div" => graph.const_input(node, 1).is_some(),
        "Pow" => graph.const_input(node, 1).is_some_and(|t| t.to_f64s().iter().all(|&e| e == 2.0 || e == 3.0)),
        _ => true,
    }
}

/// Whether this is an activation that the node in front may compute.
fn is_fusible(graph: &Graph, id: NodeId, producer: Option<NodeId>) -> bool {
    let node = graph.node(id);
    let Some(producer) = producer.map(|p| graph.node(p)) else { return false };
    let sum = producer.is("Add") && producer.inputs.iter().flatten().all(|v| graph.constant(*v).is_none());
    (node.is("Relu") || node.is("Clip")) && (producer.is("Conv") || sum)
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let Some(region) = find(graph, links, id) else {
        return Outcome::Skipped("it is alone".to_owned());
    };
    let node = &mut graph.nodes[id.0 as usize];
    node.op = FUNCTION.to_owned();
    node.domain = FUNCTION_DOMAIN.to_owned();
    node.inputs = vec![Some(region.source)];
    node.attrs = region.function.to_attrs();
    node.fusible_into = None;
    edits::absorb(graph, id, &region.nodes);
    Outcome::Fired
}

//! FUSE09 fold-arithmetic-behind.

use crate::channel_affine::{ChannelAffine, is_constant_arithmetic, operands};
use crate::graph_rule::{GraphRule, Phase};
use crate::linear::{self, Folded};
use crate::links::Links;
use ptq_ir::{Graph, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE09` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE09",
    name: "fold-arithmetic-behind",
    summary: "An Add, Sub, Mul or Div with a constant number, or one a channel, behind a Conv, ConvTranspose, Gemm or \
              MatMul is folded into its weights and bias.",
    why: "W'[o] = W[o]·s[o] and b'[o] = b[o]·s[o] + t[o], as for a BatchNormalization, in f64 and rounded once. Exporters \
          write biases as Add and learned scales as Mul; each would cost a pass over memory and a rounding to 8 bits.",
    example: "conv = Conv(x, conv_w) -> conv_out:float32[1, 6, 4, 4]\n\
              add = Add(conv_out, c) -> add_out:float32[1, 6, 4, 4]\n\
              =>\n\
              conv = Conv(x, conv_w, conv_bias) -> add_out:float32[1, 6, 4, 4]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    is_constant_arithmetic(graph, graph.node(id)) && producer(graph, links, id).is_some()
}

/// The linear node in front.
fn producer(graph: &Graph, links: &Links, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    let (x, _, _) = operands(graph, node)?;
    // A MatMul has no bias: FUSE15 takes what is added to it.
    let linear = ["Conv", "ConvTranspose", "Gemm", "MatMul"];
    let linear = if node.is("Add") || node.is("Sub") { &linear[..3] } else { &linear };
    links.producer(x).filter(|p| linear.iter().any(|op| graph.node(*p).is(op)))
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    match guard(graph, links, id) {
        Ok((into, folded)) => {
            linear::fold_behind(graph, links, into, id, folded);
            Outcome::Fired
        }
        Err(reason) => Outcome::Skipped(reason),
    }
}

fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<(NodeId, Folded), String> {
    let into = producer(graph, links, id).ok_or("no node makes its input")?;
    let node = graph.node(into);
    let axis = linear::output_axis(graph, node).ok_or_else(|| format!("{} gives one number", node.name))?;
    let (affine, x) = ChannelAffine::of_node(graph, graph.node(id), axis)?;
    match links.also_seen(graph, x, id) {
        Some(who) => Err(who),
        None => Ok((into, linear::behind(graph, node, &affine)?)),
    }
}

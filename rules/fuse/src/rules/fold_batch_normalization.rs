//! FUSE03 fold-batch-normalization-into-conv.

use crate::channel_affine::ChannelAffine;
use crate::graph_rule::{GraphRule, Phase};
use crate::linear::{self, Folded};
use crate::links::Links;
use ptq_ir::{Graph, Node, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE03` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE03",
    name: "fold-batch-normalization-into-conv",
    summary: "A BatchNormalization behind a Conv, ConvTranspose, Gemm or MatMul is folded into its weights and bias.",
    why: "In inference it is one multiply and one add for each channel, which the weights can carry: \
          W'[o] = W[o]·s[o] and b'[o] = b[o]·s[o] + t[o] with s = gamma / sqrt(var + epsilon), t = beta - mean·s \
          (Jacob et al. 2018, section 3.2). Computed in f64 and rounded once.",
    example: "conv = Conv(x, conv_w, conv_b) -> conv_out:float32[1, 6, 6, 6]\n\
              bn = BatchNormalization(conv_out, bn_scale, bn_bias, bn_mean, bn_var) -> bn_out:float32[1, 6, 6, 6]\n\
              =>\n\
              conv = Conv(x, conv_w, conv_b) -> bn_out:float32[1, 6, 6, 6]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let linear = |n: &Node| ["Conv", "ConvTranspose", "Gemm", "MatMul"].iter().any(|op| n.is(op));
    graph.node(id).is("BatchNormalization") && links.producer_of(graph, id, 0).is_some_and(|p| linear(graph.node(p)))
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

/// The node in front and what it becomes.
fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<(NodeId, Folded), String> {
    let norm = graph.node(id);
    let between = norm.input(0).ok_or("its input is missing")?;
    let into = links.producer(between).ok_or("no node makes its input")?;
    if let Some(who) = links.also_seen(graph, between, id) {
        return Err(who);
    }
    Ok((into, linear::behind(graph, graph.node(into), &ChannelAffine::of(graph, norm)?)?))
}

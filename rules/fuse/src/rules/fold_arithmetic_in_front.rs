//! FUSE10 fold-arithmetic-in-front.

use crate::channel_affine::{ChannelAffine, is_constant_arithmetic};
use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::linear::{self, Folded};
use crate::links::Links;
use ptq_ir::{Graph, NodeId, ValueId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE10` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE10",
    name: "fold-arithmetic-in-front",
    summary: "A BatchNormalization, or an Add, Sub, Mul or Div with a constant number or one a channel, in front of a Conv, \
              ConvTranspose, Gemm or MatMul is folded into its weights and bias.",
    why: "W'[o, i] = W[o, i]·s[i] and b'[o] = b[o] + sum of W[o, i]·t[i]. What is added must reach every weight of every \
          window, so a Conv with padding takes factors only: its zeros lie behind the addition.",
    example: "mul = Mul(x, c) -> mul_out:float32[1, 4, 4, 4]\n\
              conv = Conv(mul_out, conv_w, conv_b) -> conv_out:float32[1, 6, 4, 4]\n\
              =>\n\
              conv = Conv(x, conv_w, conv_b) -> conv_out:float32[1, 6, 4, 4]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let linear = ["Conv", "ConvTranspose", "Gemm", "MatMul"].iter().any(|op| node.is(op));
    let affine = |p: NodeId| {
        let front = graph.node(p);
        let sum = front.is("Add") || front.is("Sub");
        front.is("BatchNormalization") || (is_constant_arithmetic(graph, front) && !(sum && node.is("MatMul")))
    };
    linear && links.producer_of(graph, id, 0).is_some_and(affine)
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let (source, gone, folded) = match guard(graph, links, id) {
        Ok(fold) => fold,
        Err(reason) => return Outcome::Skipped(reason),
    };
    linear::set(graph, links, id, folded);
    graph.nodes[id.0 as usize].inputs[0] = Some(source);
    let node = graph.node(gone).clone();
    edits::cover(graph, id, &node);
    edits::remove(graph, gone);
    Outcome::Fired
}

/// What the linear node reads then, the node that goes, and the new constants.
fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<(ValueId, NodeId, Folded), String> {
    let node = graph.node(id);
    let between = node.input(0).ok_or("its input is missing")?;
    let front = links.producer(between).ok_or("no node makes its input")?;
    let rank = graph.value(between).shape.len();
    let axis = match node.is("Conv") || node.is("ConvTranspose") {
        true => 1,
        false if ptq_ir::ops::GemmAttrs::of(node).trans_a => return Err("its input A is transposed".to_owned()),
        false => rank.checked_sub(1).ok_or("its input is one number")?,
    };
    let (affine, x) = ChannelAffine::of_node(graph, graph.node(front), axis)?;
    if let Some(who) = links.also_seen(graph, between, id) {
        return Err(who);
    }
    if node.is("MatMul") && !affine.only_scales() {
        return Err("it has no bias".to_owned());
    }
    Ok((x, front, linear::in_front(graph, node, &affine)?))
}

//! FUSE03 fold-batch-normalization-into-conv.

use crate::channel_affine::ChannelAffine;
use crate::edits;
use crate::gemm_bias::gemm_bias;
use crate::graph_rule::GraphRule;
use crate::links::Links;
use ptq_ir::ops::GemmAttrs;
use ptq_ir::{Attr, Graph, Node, NodeId, Tensor};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE03` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE03",
    name: "fold-batch-normalization-into-conv",
    summary: "A BatchNormalization behind a Conv, ConvTranspose or Gemm is folded into its weights and bias.",
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
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let linear = |n: &Node| n.is("Conv") || n.is("ConvTranspose") || n.is("Gemm");
    graph.node(id).is("BatchNormalization") && links.producer_of(graph, id, 0).is_some_and(|p| linear(graph.node(p)))
}

struct Fold {
    into: NodeId,
    weights: Tensor,
    bias: Tensor,
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let Fold { into, weights, bias } = match guard(graph, links, id) {
        Ok(fold) => fold,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let name = graph.node(into).name.clone();
    edits::set_constant(graph, links, into, 1, weights, &format!("{name}_weight"));
    edits::set_constant(graph, links, into, 2, bias, &format!("{name}_bias"));
    let norm = graph.node(id).clone();
    edits::cover(graph, into, &norm);
    let survivor = &mut graph.nodes[into.0 as usize];
    survivor.outputs = norm.outputs;
    if survivor.is("Gemm") {
        // The folded addend already holds beta.
        survivor.attrs.set("beta", Attr::Float(1.0));
    }
    edits::remove(graph, id);
    Outcome::Fired
}

fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<Fold, String> {
    let norm = graph.node(id);
    let between = norm.input(0).ok_or("its input is missing")?;
    let into = links.producer(between).ok_or("no node makes its input")?;
    let linear = graph.node(into);
    if let Some(who) = links.also_seen(graph, between, id) {
        return Err(who);
    }
    let affine = ChannelAffine::of(graph, norm)?;
    let w = graph.const_input(linear, 1).ok_or_else(|| format!("the weights of {} are not constant", linear.name))?;
    let weights = scaled_weights(linear, w, &affine)?;
    let bias: Vec<f32> = bias(graph, linear, affine.scale.len())?
        .iter()
        .enumerate()
        .map(|(c, b)| (b * affine.scale[c] + affine.shift[c]) as f32)
        .collect();
    if weights.iter().chain(&bias).any(|v| !v.is_finite()) {
        return Err(format!("the folded weights of {} would not be finite", linear.name));
    }
    let text = |e: ptq_ir::TensorError| e.to_string();
    Ok(Fold {
        into,
        weights: Tensor::from_f32(w.shape(), weights).map_err(text)?,
        bias: Tensor::from_f32([affine.scale.len()], bias).map_err(text)?,
    })
}

/// Each weight times the factor of the output channel that it feeds.
fn scaled_weights(linear: &Node, w: &Tensor, affine: &ChannelAffine) -> Result<Vec<f32>, String> {
    let values = w.f32s().map_err(|e| format!("the weights of {}: {e}", linear.name))?;
    let odd = || format!("the weights {:?} of {} do not fit {} channels", w.shape(), linear.name, affine.scale.len());
    let channels = affine.scale.len();
    let &[d0, d1, ..] = w.shape() else { return Err(odd()) };
    let inner = values.len() / (d0 * d1).max(1);
    let group = usize::try_from(linear.attrs.int("group", 1)).unwrap_or(0);
    // Output channel of the weight at position i, and the number of channels that the layout implies.
    let (channel, count): (Box<dyn Fn(usize) -> usize>, usize) = match linear.op.as_str() {
        "Conv" => (Box::new(move |i| i / (d1 * inner)), d0),
        "ConvTranspose" if group > 0 && d0 % group == 0 => {
            let inputs = d0 / group;
            (Box::new(move |i| i / (d1 * inner) / inputs * d1 + i / inner % d1), d1 * group)
        }
        "Gemm" if GemmAttrs::of(linear).trans_b => (Box::new(move |i| i / d1), d0),
        "Gemm" => (Box::new(move |i| i % d1), d1),
        _ => return Err(odd()),
    };
    if count != channels {
        return Err(odd());
    }
    Ok(values.iter().enumerate().map(|(i, &v)| (f64::from(v) * affine.scale[channel(i)]) as f32).collect())
}

fn bias(graph: &Graph, linear: &Node, channels: usize) -> Result<Vec<f64>, String> {
    if linear.is("Gemm") {
        return gemm_bias(graph, linear, channels);
    }
    let Some(b) = linear.input(2) else { return Ok(vec![0.0; channels]) };
    match graph.constant(b) {
        Some(t) if t.len() == channels => Ok(t.to_f64s()),
        Some(t) => Err(format!("the bias of {} has {} entries for {channels} channels", linear.name, t.len())),
        None => Err(format!("the bias of {} is not constant", linear.name)),
    }
}

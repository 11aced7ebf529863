//! FUSE04 convert-batch-normalization.

use crate::channel_affine::ChannelAffine;
use crate::graph_rule::GraphRule;
use crate::links::Links;
use ptq_ir::{Attr, Attrs, DType, Graph, NodeId, Tensor, TensorError};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE04` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE04",
    name: "convert-batch-normalization",
    summary: "A BatchNormalization that could not be folded becomes a depthwise 1x1 Conv.",
    why: "Integer hardware has no BatchNormalization, but a Conv with one weight a channel computes the same map, \
          W[c] = gamma / sqrt(var + epsilon) and b[c] = beta - mean·W[c], and quantizes per channel.",
    example: "bn = BatchNormalization(x, bn_scale, bn_bias, bn_mean, bn_var) -> bn_out:float32[1, 4, 6, 6]\n\
              =>\n\
              bn = Conv(x, bn_conv_weight, bn_conv_bias) -> bn_out:float32[1, 4, 6, 6]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, late: false };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    graph.node(id).is("BatchNormalization")
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let (weights, bias) = match guard(graph, id) {
        Ok(constants) => constants,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let name = graph.node(id).name.clone();
    let group = weights.len() as i64;
    let w = graph.add_constant(graph.fresh_value_name(&format!("{name}_conv_weight")), weights);
    let b = graph.add_constant(graph.fresh_value_name(&format!("{name}_conv_bias")), bias);
    let node = &mut graph.nodes[id.0 as usize];
    node.op = "Conv".to_owned();
    node.inputs.truncate(1);
    node.inputs.extend([Some(w), Some(b)]);
    node.attrs = Attrs::of([("group", Attr::Int(group)), ("kernel_shape", Attr::Ints(vec![1, 1]))]);
    Outcome::Fired
}

/// Weights and bias of the Conv.
fn guard(graph: &Graph, id: NodeId) -> Result<(Tensor, Tensor), String> {
    let node = graph.node(id);
    let x = graph.value(node.input(0).ok_or("its input is missing")?);
    if x.shape.len() != 4 || x.dtype != DType::F32 {
        return Err(format!("its input is {}{:?}; a Conv needs float32 of rank 4", x.dtype, x.shape));
    }
    let affine = ChannelAffine::of(graph, node)?;
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let (weights, bias) = (narrow(&affine.scale), narrow(&affine.shift));
    if weights.iter().chain(&bias).any(|v| !v.is_finite()) {
        return Err("the weights would not be finite".to_owned());
    }
    let channels = weights.len();
    let text = |e: TensorError| e.to_string();
    Ok((
        Tensor::from_f32([channels, 1, 1, 1], weights).map_err(text)?,
        Tensor::from_f32([channels], bias).map_err(text)?,
    ))
}

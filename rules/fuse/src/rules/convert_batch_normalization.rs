//! FUSE04 convert-batch-normalization.

use crate::channel_affine::ChannelAffine;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, TensorError};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE04` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE04",
    name: "convert-batch-normalization",
    summary: "A BatchNormalization that could not be folded becomes a depthwise 1x1 Conv, or a Mul and an Add where its input \
              is not an image.",
    why: "Integer hardware has no BatchNormalization, but a Conv with one weight a channel computes the same map, \
          W[c] = gamma / sqrt(var + epsilon) and b[c] = beta - mean·W[c], and quantizes per channel.",
    example: "bn = BatchNormalization(x, bn_scale, bn_bias, bn_mean, bn_var) -> bn_out:float32[1, 4, 6, 6]\n\
              =>\n\
              bn = Conv(x, bn_conv_weight, bn_conv_bias) -> bn_out:float32[1, 4, 6, 6]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    graph.node(id).is("BatchNormalization")
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let (scale, shift) = match guard(graph, id) {
        Ok(constants) => constants,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let rank = graph.node(id).input(0).map_or(0, |x| graph.value(x).shape.len());
    let made = if rank == 4 { to_conv(graph, id, scale, shift) } else { to_arithmetic(graph, id, rank, scale, shift) };
    made.map_or_else(|e| Outcome::Skipped(e.to_string()), |()| Outcome::Fired)
}

fn to_conv(graph: &mut Graph, id: NodeId, scale: Vec<f32>, shift: Vec<f32>) -> Result<(), TensorError> {
    let name = graph.node(id).name.clone();
    let channels = scale.len();
    let (w, b) = (Tensor::from_f32([channels, 1, 1, 1], scale)?, Tensor::from_f32([channels], shift)?);
    let w = graph.add_constant(graph.fresh_value_name(&format!("{name}_conv_weight")), w);
    let b = graph.add_constant(graph.fresh_value_name(&format!("{name}_conv_bias")), b);
    let node = &mut graph.nodes[id.0 as usize];
    node.op = "Conv".to_owned();
    node.inputs.truncate(1);
    node.inputs.extend([Some(w), Some(b)]);
    node.attrs = Attrs::of([("group", Attr::Int(channels as i64)), ("kernel_shape", Attr::Ints(vec![1, 1]))]);
    Ok(())
}

/// `x * scale + shift`, the constants with the channels on axis 1.
fn to_arithmetic(
    graph: &mut Graph,
    id: NodeId,
    rank: usize,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<(), TensorError> {
    let mut shape = vec![1; rank.saturating_sub(1)];
    if let Some(channels) = shape.first_mut() {
        *channels = scale.len();
    }
    let (scale, shift) = (Tensor::from_f32(shape.clone(), scale)?, Tensor::from_f32(shape, shift)?);
    let old = graph.node(id).clone();
    let scale = graph.add_constant(graph.fresh_value_name(&format!("{}_scale", old.name)), scale);
    let shift = graph.add_constant(graph.fresh_value_name(&format!("{}_shift", old.name)), shift);
    let scaled = graph.fresh_value_name(&format!("{}_scaled", old.name));
    let of = |g: &Graph| old.input(0).map(|x| g.value(x).shape.clone()).unwrap_or_default();
    let scaled = graph.add_value(scaled, DType::F32, of(graph));
    let mul = Node {
        name: graph.fresh_node_name(&format!("{}_mul", old.name)),
        op: "Mul".to_owned(),
        inputs: vec![old.input(0), Some(scale)],
        outputs: vec![scaled],
        attrs: Attrs::default(),
        covers: Vec::new(),
        ..old.clone()
    };
    let inputs = vec![Some(scaled), Some(shift)];
    let add = Node { op: "Add".to_owned(), inputs, attrs: Attrs::default(), ..old };
    let at = id.0 as usize;
    graph.nodes.splice(at..=at, [mul, add]);
    Ok(())
}

/// Factor and addend of each channel.
fn guard(graph: &Graph, id: NodeId) -> Result<(Vec<f32>, Vec<f32>), String> {
    let node = graph.node(id);
    let x = graph.value(node.input(0).ok_or("its input is missing")?);
    if x.shape.len() < 2 || x.dtype != DType::F32 {
        return Err(format!("its input is {}{:?}; float32 with channels on axis 1 is needed", x.dtype, x.shape));
    }
    let affine = ChannelAffine::of(graph, node)?;
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let (scale, shift) = (narrow(&affine.scale), narrow(&affine.shift));
    if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
        return Err("the weights would not be finite".to_owned());
    }
    Ok((scale, shift))
}

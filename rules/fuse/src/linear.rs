//! Weights and bias of Conv, ConvTranspose, Gemm and MatMul with an affine map of their output or input channels folded
//! in. Called by the rules that fold. Products are formed in f64 and rounded once.

use crate::channel_affine::ChannelAffine;
use crate::edits;
use crate::gemm_bias::gemm_bias;
use crate::links::Links;
use ptq_ir::ops::GemmAttrs;
use ptq_ir::{Attr, Graph, Node, NodeId, Tensor};

/// New constants of a linear node.
pub(crate) struct Folded {
    weights: Tensor,
    /// `None` when the node needs none; a MatMul that gets one becomes a Gemm.
    bias: Option<Tensor>,
}

/// Which channels a weight joins.
enum Side {
    Output,
    Input,
}

/// The axis of the result on which the output channels are.
pub(crate) fn output_axis(graph: &Graph, node: &Node) -> Option<usize> {
    let rank = graph.value(*node.outputs.first()?).shape.len();
    if node.is("Conv") || node.is("ConvTranspose") { Some(1) } else { rank.checked_sub(1) }
}

/// A node as it must be to compute `affine(node(x))`.
///
/// # Errors
/// The reason why that is not possible.
pub(crate) fn behind(graph: &Graph, node: &Node, affine: &ChannelAffine) -> Result<Folded, String> {
    let channels = affine.scale.len();
    let weights = scaled_weights(graph, node, &affine.scale, &Side::Output)?;
    let bias = bias(graph, node, channels)?;
    let bias = bias.iter().enumerate().map(|(c, b)| b * affine.scale[c] + affine.shift[c]);
    folded(graph, node, weights, bias.collect())
}

/// A node as it must be to compute `node(affine(x))`.
///
/// # Errors
/// The reason why that is not possible.
pub(crate) fn in_front(graph: &Graph, node: &Node, affine: &ChannelAffine) -> Result<Folded, String> {
    let weights = scaled_weights(graph, node, &affine.scale, &Side::Input)?;
    let added = added_by_shift(graph, node, &affine.shift)?;
    let bias = bias(graph, node, added.len())?.iter().zip(&added).map(|(b, a)| b + a).collect();
    folded(graph, node, weights, bias)
}

/// Puts the constants into `into`, which takes over the result of the node `gone` behind it.
pub(crate) fn fold_behind(graph: &mut Graph, links: &Links, into: NodeId, gone: NodeId, folded: Folded) {
    set(graph, links, into, folded);
    let node = graph.node(gone).clone();
    edits::cover(graph, into, &node);
    graph.nodes[into.0 as usize].outputs = node.outputs;
    edits::remove(graph, gone);
}

/// Puts the constants into a node.
pub(crate) fn set(graph: &mut Graph, links: &Links, into: NodeId, folded: Folded) {
    let name = graph.node(into).name.clone();
    edits::set_constant(graph, links, into, 1, folded.weights, &format!("{name}_weight"));
    if let Some(bias) = folded.bias {
        edits::set_constant(graph, links, into, 2, bias, &format!("{name}_bias"));
    }
    let node = &mut graph.nodes[into.0 as usize];
    if node.is("MatMul") && node.input(2).is_some() {
        node.op = "Gemm".to_owned();
    }
    if node.is("Gemm") {
        // The folded addend already holds beta.
        node.attrs.set("beta", Attr::Float(1.0));
    }
}

fn folded(graph: &Graph, node: &Node, weights: Vec<f32>, bias: Vec<f64>) -> Result<Folded, String> {
    let bias: Vec<f32> = bias.into_iter().map(|b| b as f32).collect();
    if weights.iter().chain(&bias).any(|v| !v.is_finite()) {
        return Err(format!("the folded weights of {} would not be finite", node.name));
    }
    let adds = bias.iter().any(|&b| b != 0.0);
    let rows = node.input(0).is_some_and(|x| graph.value(x).shape.len() == 2);
    if node.is("MatMul") && adds && !rows {
        return Err(format!("{} has no bias and, with operands of another rank than 2, is no Gemm", node.name));
    }
    let shape = graph.const_input(node, 1).map(|w| w.shape().to_vec()).unwrap_or_default();
    let text = |e: ptq_ir::TensorError| e.to_string();
    let bias = match node.is("MatMul") && !adds {
        true => None,
        false => Some(Tensor::from_f32([bias.len()], bias).map_err(text)?),
    };
    Ok(Folded { weights: Tensor::from_f32(shape, weights).map_err(text)?, bias })
}

/// Output and input channel that weight `i` joins, and how many of each the layout implies.
struct Layout {
    output: Box<dyn Fn(usize) -> usize>,
    input: Box<dyn Fn(usize) -> usize>,
    outputs: usize,
    inputs: usize,
}

impl Layout {
    fn of(node: &Node, shape: &[usize]) -> Option<Layout> {
        let &[d0, d1, ..] = shape else { return None };
        let inner: usize = shape[2..].iter().product();
        let group = usize::try_from(node.attrs.int("group", 1)).ok().filter(|&g| g > 0 && d0 % g == 0)?;
        let rows_are_outputs = Layout {
            output: Box::new(move |i| i / (d1 * inner)),
            input: Box::new(move |i| i / (d1 * inner) / (d0 / group).max(1) * d1 + i / inner % d1),
            outputs: d0,
            inputs: d1 * group,
        };
        match node.op.as_str() {
            "Conv" => Some(rows_are_outputs),
            "Gemm" if GemmAttrs::of(node).trans_b => Some(rows_are_outputs),
            "ConvTranspose" => Some(Layout {
                output: Box::new(move |i| i / (d1 * inner) / (d0 / group).max(1) * d1 + i / inner % d1),
                input: Box::new(move |i| i / (d1 * inner)),
                outputs: d1 * group,
                inputs: d0,
            }),
            "Gemm" | "MatMul" if shape.len() == 2 => Some(Layout {
                output: Box::new(move |i| i % d1),
                input: Box::new(move |i| i / d1),
                outputs: d1,
                inputs: d0,
            }),
            _ => None,
        }
    }
}

fn constant_weights<'g>(graph: &'g Graph, node: &Node) -> Result<(&'g Tensor, Layout), String> {
    let w = graph.const_input(node, 1).ok_or_else(|| format!("the weights of {} are not constant", node.name))?;
    let layout = Layout::of(node, w.shape())
        .ok_or_else(|| format!("the weights {:?} of {} have no channels", w.shape(), node.name))?;
    Ok((w, layout))
}

/// Each weight times the factor of the channel that it joins.
fn scaled_weights(graph: &Graph, node: &Node, scale: &[f64], side: &Side) -> Result<Vec<f32>, String> {
    let (w, layout) = constant_weights(graph, node)?;
    let values = w.f32s().map_err(|e| format!("the weights of {}: {e}", node.name))?;
    let (channel, count) = match side {
        Side::Output => (&layout.output, layout.outputs),
        Side::Input => (&layout.input, layout.inputs),
    };
    if count != scale.len() {
        return Err(format!("the weights {:?} of {} do not fit {} channels", w.shape(), node.name, scale.len()));
    }
    Ok(values.iter().enumerate().map(|(i, &v)| (f64::from(v) * scale[channel(i)]) as f32).collect())
}

/// What a constant in front of a node adds to each of its output channels.
fn added_by_shift(graph: &Graph, node: &Node, shift: &[f64]) -> Result<Vec<f64>, String> {
    let (w, layout) = constant_weights(graph, node)?;
    let mut added = vec![0.0; layout.outputs];
    if shift.iter().all(|&v| v == 0.0) {
        return Ok(added);
    }
    if node.is("ConvTranspose") {
        return Err(format!("{} adds a different number of weights at its edges", node.name));
    }
    if node.is("Conv") && !is_unpadded(node) {
        return Err(format!("{} pads with zeros behind the addition", node.name));
    }
    let alpha = if node.is("Gemm") { f64::from(GemmAttrs::of(node).alpha) } else { 1.0 };
    for (i, w) in w.to_f64s().into_iter().enumerate() {
        added[(layout.output)(i)] += alpha * w * shift[(layout.input)(i)];
    }
    Ok(added)
}

/// Whether a Conv adds no zeros around its input.
fn is_unpadded(node: &Node) -> bool {
    match node.attrs.str("auto_pad", "NOTSET") {
        "NOTSET" | "" => node.attrs.ints("pads").is_none_or(|p| p.iter().all(|&v| v == 0)),
        mode => mode == "VALID",
    }
}

/// The addend of each output channel, zeros where there is none.
fn bias(graph: &Graph, node: &Node, channels: usize) -> Result<Vec<f64>, String> {
    if node.is("Gemm") {
        return gemm_bias(graph, node, channels);
    }
    let Some(b) = node.input(2).filter(|_| !node.is("MatMul")) else { return Ok(vec![0.0; channels]) };
    match graph.constant(b) {
        Some(t) if t.len() == channels => Ok(t.to_f64s()),
        Some(t) => Err(format!("the bias of {} has {} entries for {channels} channels", node.name, t.len())),
        None => Err(format!("the bias of {} is not constant", node.name)),
    }
}

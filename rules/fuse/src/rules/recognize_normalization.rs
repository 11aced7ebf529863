//! FUSE14 recognize-normalization.

use crate::channel_affine::{is_constant_arithmetic, operands};
use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::norm_region::{Normalization, find};
use ptq_ir::{Graph, Node, NodeId, Tensor};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE14` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE14",
    name: "recognize-normalization",
    summary: "Nodes that together normalize over the last axes become LayerNormalization, or InstanceNormalization where \
              they do so for each channel; a factor and an addend behind it join.",
    why: "Mean and variance written as ReduceMean, Sub, Pow, Sqrt and Div would be quantized one by one, and a variance does \
          not fit 8 bits. Exporters write them in many ways (two-pass, mean of squares, with Reciprocal), so the nodes are \
          compared with the operator by their results on inputs of four magnitudes, to within 1e-4 of the largest result.",
    example: "mean = ReduceMean(x) -> mean_out:float32[2, 3, 1]\n\
              sub = Sub(x, mean_out) -> sub_out:float32[2, 3, 8]\n\
              pow = Pow(sub_out, two) -> pow_out:float32[2, 3, 8]\n\
              var = ReduceMean(pow_out) -> var_out:float32[2, 3, 1]\n\
              eps = Add(var_out, epsilon) -> eps_out:float32[2, 3, 1]\n\
              sqrt = Sqrt(eps_out) -> sqrt_out:float32[2, 3, 1]\n\
              div = Div(sub_out, sqrt_out) -> div_out:float32[2, 3, 8]\n\
              mul = Mul(div_out, gamma) -> mul_out:float32[2, 3, 8]\n\
              add = Add(mul_out, beta) -> add_out:float32[2, 3, 8]\n\
              =>\n\
              div = LayerNormalization(x, div_scale, div_bias) -> add_out:float32[2, 3, 8]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    is_normalization(graph, links, id) || (is_scaled(graph, links, id) && folded(graph, links, node).is_ok())
}

/// Whether a group ends here. Groups that are something else leave no trace: any residual block has two reductions.
fn is_normalization(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    ["Add", "Sub", "Mul", "Div"].iter().any(|op| node.is(op)) && find(graph, links, id).is_some()
}

/// Whether the node multiplies a LayerNormalization by a constant, or adds one.
fn is_scaled(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let front = operands(graph, node).and_then(|(x, _, _)| links.producer(x));
    (node.is("Add") || node.is("Mul"))
        && is_constant_arithmetic(graph, node)
        && front.is_some_and(|f| graph.node(f).is("LayerNormalization"))
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    if is_scaled(graph, links, id) {
        return match folded(graph, links, &graph.node(id).clone()) {
            Ok(folded) => fold(graph, links, id, folded),
            Err(reason) => Outcome::Skipped(reason),
        };
    }
    match find(graph, links, id) {
        Some(found) => replace(graph, id, found),
        None => Outcome::Skipped("it ends no normalization".to_owned()),
    }
}

fn replace(graph: &mut Graph, id: NodeId, found: Normalization) -> Outcome {
    let name = graph.node(id).name.clone();
    let scale = graph.add_constant(graph.fresh_value_name(&format!("{name}_scale")), found.scale);
    let bias = graph.add_constant(graph.fresh_value_name(&format!("{name}_bias")), found.bias);
    let node = &mut graph.nodes[id.0 as usize];
    node.op = found.op.to_owned();
    node.inputs = vec![Some(found.source), Some(scale), Some(bias)];
    node.attrs = found.attrs;
    edits::absorb(graph, id, &found.nodes);
    Outcome::Fired
}

/// A LayerNormalization's new scale and bias.
struct Folded {
    into: NodeId,
    scale: Tensor,
    bias: Tensor,
}

fn folded(graph: &Graph, links: &Links, node: &Node) -> Result<Folded, String> {
    let (x, constant, _) = operands(graph, node).ok_or("it has no constant operand")?;
    let into = links.producer(x).ok_or("no node makes its input")?;
    let norm = graph.node(into);
    if graph.is_output(x) || links.readers(x).len() != 1 {
        return Err(format!("the output of {} is also read by others", norm.name));
    }
    let scale = graph.const_input(norm, 1).ok_or_else(|| format!("the scale of {} is not constant", norm.name))?;
    let own = match norm.input(2) {
        None => vec![0.0; scale.len()],
        Some(v) => graph.constant(v).ok_or_else(|| format!("the bias of {} is not constant", norm.name))?.to_f64s(),
    };
    let constant = graph.constant(constant).ok_or("its operand is not constant")?;
    let bare = |s: &[usize]| s.iter().skip_while(|&&d| d == 1).copied().collect::<Vec<_>>();
    let values = constant.to_f64s();
    let rank = graph.value(x).shape.len();
    if constant.shape().len() > rank || (values.len() != 1 && bare(constant.shape()) != bare(scale.shape())) {
        return Err(format!("its operand {:?} is not one number an element of a row", constant.shape()));
    }
    let at = |i: usize| values[if values.len() == 1 { 0 } else { i }];
    let multiplied = |v: Vec<f64>| v.iter().enumerate().map(|(i, v)| (v * at(i)) as f32).collect::<Vec<f32>>();
    let (new_scale, new_bias) = if node.is("Mul") {
        (multiplied(scale.to_f64s()), multiplied(own))
    } else {
        let bias = own.iter().enumerate().map(|(i, v)| (v + at(i)) as f32).collect();
        (scale.f32s().map_err(|e| e.to_string())?.to_vec(), bias)
    };
    if new_scale.iter().chain(&new_bias).any(|v| !v.is_finite()) {
        return Err(format!("the scale of {} would not be finite", norm.name));
    }
    let tensor = |v: Vec<f32>| Tensor::from_f32(scale.shape(), v).map_err(|e| e.to_string());
    Ok(Folded { into, scale: tensor(new_scale)?, bias: tensor(new_bias)? })
}

fn fold(graph: &mut Graph, links: &Links, id: NodeId, folded: Folded) -> Outcome {
    let name = graph.node(folded.into).name.clone();
    edits::set_constant(graph, links, folded.into, 1, folded.scale, &format!("{name}_scale"));
    edits::set_constant(graph, links, folded.into, 2, folded.bias, &format!("{name}_bias"));
    let gone = graph.node(id).clone();
    edits::cover(graph, folded.into, &gone);
    graph.nodes[folded.into.0 as usize].outputs = gone.outputs;
    edits::remove(graph, id);
    Outcome::Fired
}

//! FUSE14 recognize-normalization.

use crate::channel_affine::{is_constant_arithmetic, operands};
use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::norm_region::{Normalization, find};
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, ValueId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE14` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE14",
    name: "recognize-normalization",
    summary: "Nodes that together normalize over the last axes become LayerNormalization, or InstanceNormalization where \
              they do so for each channel; over other axes, LayerNormalization between two Transposes. A factor and an \
              addend behind it join.",
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
    ["Add", "Sub", "Mul", "Div"].iter().any(|op| node.is(op)) && found(graph, links, id).is_some()
}

/// The group that ends in a node. One over other than the last axes waits for its factor and addend, which could not join
/// it through the Transpose behind it.
fn found(graph: &Graph, links: &Links, id: NodeId) -> Option<Normalization> {
    let found = find(graph, links, id)?;
    let behind = match (&found.perm, graph.node(id).outputs.first().map(|v| links.readers(*v))) {
        (Some(_), Some(&[reader])) => Some(reader),
        _ => None,
    };
    let joins = |r: &NodeId| is_constant_arithmetic(graph, graph.node(*r)) && find(graph, links, *r).is_some();
    behind.is_none_or(|r| !joins(&r)).then_some(found)
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
    match found(graph, links, id) {
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
    if let Some(perm) = found.perm {
        // The group's other nodes stood in front of its last one.
        turn(graph, NodeId(id.0 + 1 - found.nodes.len() as u32), &perm);
    }
    Outcome::Fired
}

/// Puts a Transpose in front of a node and the inverse one behind it.
fn turn(graph: &mut Graph, id: NodeId, perm: &[usize]) {
    let at = id.0 as usize;
    let mut node = graph.nodes[at].clone();
    let (Some(x), Some(&y)) = (node.input(0), node.outputs.first()) else { return };
    let mut inverse = vec![0; perm.len()];
    perm.iter().enumerate().for_each(|(i, &a)| inverse[a] = i);
    let shape: Vec<usize> = perm.iter().map(|&a| graph.value(x).shape[a]).collect();
    let [front, behind] = ["turned", "normalized"].map(|what| {
        let name = graph.fresh_value_name(&format!("{}_{what}", node.name));
        graph.add_value(name, DType::F32, shape.clone())
    });
    let transpose = |what: &str, order: &[usize], from: ValueId, to: ValueId| Node {
        name: graph.fresh_node_name(&format!("{}_transpose_{what}", node.name)),
        op: "Transpose".to_owned(),
        domain: String::new(),
        inputs: vec![Some(from)],
        outputs: vec![to],
        attrs: Attrs::of([("perm", Attr::Ints(order.iter().map(|&a| a as i64).collect()))]),
        covers: Vec::new(),
        fusible_into: None,
    };
    let (first, last) = (transpose("input", perm, x, front), transpose("output", &inverse, behind, y));
    node.inputs[0] = Some(front);
    node.outputs = vec![behind];
    graph.nodes.splice(at..=at, [first, node, last]);
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

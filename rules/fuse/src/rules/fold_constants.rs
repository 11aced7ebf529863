//! FUSE01 fold-constants.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{Attr, Graph, Node, NodeId, Tensor, numel};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE01` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE01",
    name: "fold-constants",
    summary: "A node that depends on nothing but constants and static shapes becomes a constant.",
    why: "Its result is the same for every input, so it is computed once, by the same code that would run it. \
          Exporters write padding and reshaping as long chains of Shape, Gather and Concat; later rules need the numbers.",
    example: "shape = Shape(x) -> shape_out:int64[1]\n\
              dims = Concat(shape_out, rest) -> dims_out:int64[2]\n\
              flat = Reshape(x, dims_out) -> y:float32[2, 12]\n\
              =>\n\
              flat = Reshape(x, dims_out) -> y:float32[2, 12]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

/// Larger results stay nodes: a file must not grow without bound because a node repeats a constant.
const MAX_BYTES: usize = 64 << 20;

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let mut given = node.inputs.iter().flatten().peekable();
    let some = given.peek().is_some();
    node.is("Constant") || reads_shape_only(node) || (some && given.all(|v| graph.constant(*v).is_some()))
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let results = match guard(graph, graph.node(id)) {
        Ok(results) => results,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let node = edits::remove(graph, id);
    graph.constants.extend(node.outputs.into_iter().zip(results));
    Outcome::Fired
}

/// The results of the node.
fn guard(graph: &Graph, node: &Node) -> Result<Vec<Tensor>, String> {
    let mut bytes = 0usize;
    for &v in &node.outputs {
        let value = graph.value(v);
        if graph.is_output(v) {
            return Err(format!("its result {} is a model output", value.name));
        }
        let size = numel(&value.shape).and_then(|n| n.checked_mul(value.dtype.bytes())).unwrap_or(usize::MAX);
        bytes = bytes.saturating_add(size);
    }
    if bytes > MAX_BYTES {
        return Err(format!("its result of {bytes} bytes exceeds the limit of {MAX_BYTES} bytes"));
    }
    let results = compute(graph, node)?;
    if results.len() != node.outputs.len() {
        return Err(format!("evaluates to {} results, {} are declared", results.len(), node.outputs.len()));
    }
    for (&v, result) in node.outputs.iter().zip(&results) {
        let value = graph.value(v);
        if result.dtype() != value.dtype || result.shape() != value.shape {
            return Err(format!(
                "evaluates to {}{:?}, declared {}{:?}",
                result.dtype(),
                result.shape(),
                value.dtype,
                value.shape
            ));
        }
    }
    Ok(results)
}

fn compute(graph: &Graph, node: &Node) -> Result<Vec<Tensor>, String> {
    if reads_shape_only(node) {
        return shape_result(graph, node);
    }
    if node.is("Constant") {
        return constant_value(node).map(|t| vec![t]);
    }
    if !ptq_exec::is_supported(&node.op, &node.domain) {
        return Err(format!("operator {} is not evaluated at build time", node.op));
    }
    let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(|v| v.and_then(|v| graph.constant(v))).collect();
    ptq_exec::eval_outputs(&node.op, &node.domain, &node.attrs, &inputs, node.outputs.len()).map_err(|e| e.to_string())
}

/// The value of a Constant, in any of its numeric forms (ONNX Constant-13).
fn constant_value(node: &Node) -> Result<Tensor, String> {
    let text = |e: ptq_ir::TensorError| e.to_string();
    let form = node.attrs.0.iter().find(|(name, _)| name.starts_with("value")).map(|(_, value)| value);
    match form {
        Some(Attr::Tensor(value)) => Ok(value.clone()),
        Some(Attr::Float(v)) => Ok(Tensor::scalar_f32(*v)),
        Some(Attr::Floats(v)) => Tensor::from_f32([v.len()], v.clone()).map_err(text),
        Some(Attr::Int(v)) => Tensor::from_i64(Vec::new(), vec![*v]).map_err(text),
        Some(Attr::Ints(v)) => Ok(Tensor::vec_i64(v.clone())),
        _ => Err("it has no numeric value".to_owned()),
    }
}

/// Shape and Size read no element, and shapes are static.
fn reads_shape_only(node: &Node) -> bool {
    (node.is("Shape") || node.is("Size")) && node.input(0).is_some()
}

fn shape_result(graph: &Graph, node: &Node) -> Result<Vec<Tensor>, String> {
    let shape = node.input(0).map(|v| graph.value(v).shape.as_slice()).unwrap_or_default();
    let count = |n: usize| i64::try_from(n).map_err(|_| "the shape overflows".to_owned());
    if node.is("Size") {
        let n = count(numel(shape).ok_or("the shape overflows")?)?;
        return Tensor::from_i64(Vec::new(), vec![n]).map(|t| vec![t]).map_err(|e| e.to_string());
    }
    let rank = count(shape.len())?;
    let end = |raw: i64| (if raw < 0 { raw + rank } else { raw }).clamp(0, rank) as usize;
    let (from, to) = (end(node.attrs.int("start", 0)), end(node.attrs.int("end", rank)));
    let dims = shape.get(from..to.max(from)).unwrap_or_default();
    Ok(vec![Tensor::vec_i64(dims.iter().map(|&d| count(d)).collect::<Result<_, _>>()?)])
}

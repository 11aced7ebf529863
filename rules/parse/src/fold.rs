//! Computes nodes whose inputs are constant. The only place of this crate that runs arithmetic.

use crate::budget::Budget;
use ptq_ir::ops::CUSTOM;
use ptq_ir::{Attr, DType, Diagnostic, Graph, Node, Tensor, Value};

/// The results of a node, when they do not depend on the model's inputs; `None` when they do.
///
/// # Errors
/// `PARSE05` when the node does not compute, `PARSE06` when a result is too large.
pub(crate) fn fold(
    graph: &Graph,
    node: &Node,
    inferred: &[(DType, Vec<usize>)],
    budget: &mut Budget,
) -> Result<Option<Vec<Tensor>>, Diagnostic> {
    let by_shape = match node.op.as_str() {
        "Shape" | "Size" => node.input(0).map(|v| of_shape(node, graph.value(v))),
        _ => None,
    };
    if let Some(tensor) = by_shape {
        return Ok(Some(vec![tensor]));
    }
    let inputs: Option<Vec<Option<&Tensor>>> =
        node.inputs.iter().map(|i| i.map_or(Some(None), |v| graph.constant(v).map(Some))).collect();
    // What a custom operator makes of constants is left to run time: its program need not be here.
    let Some(inputs) = inputs.filter(|_| node.attrs.get(CUSTOM).is_none()) else { return Ok(None) };
    budget.fold(graph, node, inferred).map_err(|d| d.node(&node.name))?;
    let mut out = evaluate(node, &inputs)
        .map_err(|why| Diagnostic::error("PARSE05", format!("{} of constants: {why}", node.op)).node(&node.name))?;
    out.truncate(node.outputs.len());
    let as_inferred = out.len() == inferred.len()
        && out.iter().zip(inferred).all(|(t, (dtype, shape))| t.dtype() == *dtype && t.shape() == shape);
    if !as_inferred {
        let found: Vec<String> = out.iter().map(|t| format!("{}{:?}", t.dtype(), t.shape())).collect();
        let message = format!("{} of constants gives {}, expected {inferred:?}", node.op, found.join(", "));
        return Err(Diagnostic::error("PARSE05", message).node(&node.name));
    }
    Ok(Some(out))
}

/// Shape and Size of a value, whose shape is always known.
fn of_shape(node: &Node, value: &Value) -> Tensor {
    let dims: Vec<i64> = value.shape.iter().map(|&n| n as i64).collect();
    if node.op == "Size" {
        let size = Tensor::from_i64(Vec::new(), vec![dims.iter().product()]);
        return size.expect("invariant: a scalar has one element");
    }
    let rank = dims.len() as i64;
    let bound = |name, default| match node.attrs.get(name) {
        Some(Attr::Int(v)) => (if *v < 0 { v.saturating_add(rank) } else { *v }).clamp(0, rank) as usize,
        _ => default,
    };
    let (start, end) = (bound("start", 0), bound("end", dims.len()));
    Tensor::vec_i64(dims.get(start..end).unwrap_or(&[]).to_vec())
}

fn evaluate(node: &Node, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, String> {
    let outputs = node.outputs.len();
    ptq_exec::eval_outputs(&node.op, &node.domain, &node.attrs, inputs, outputs).map_err(|e| e.to_string())
}

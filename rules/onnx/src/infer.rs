//! Shape and type inference with ONNX semantics of [`ptq_ir::IR_OPSET`]: one file an operator family, one table from
//! operator to function. Shapes are static, so each function is plain arithmetic on the inputs' shapes and constants.
//!
//! Called by parse for every node, by fuse for nodes that it makes, by tests.

mod arg;
mod bits;
mod cast;
mod concat;
mod context;
mod conv;
mod elementwise;
mod expand;
mod gather;
mod matmul;
mod matrix;
mod norm;
mod pad;
mod pool;
mod range;
mod recurrent;
mod reduce;
mod registry;
mod reshape;
mod resize;
mod sampling;
mod scatter;
mod select;
mod shape_of;
mod slice;
mod softmax;
mod space;
mod split;
mod squeeze;
mod topk;
mod transpose;
mod window;

pub use context::{InferCtx, Inferred};

use ptq_ir::ops::CustomOp;
use ptq_ir::{DType, Diagnostic, Graph, Node, numel};

/// Types and shapes of a node's outputs. The node need not be part of the graph yet; its inputs must be.
///
/// # Errors
/// Names the node and says which input, attribute or shape does not fit (`INFER01`), which operator is unknown
/// (`INFER02`), which attribute (`INFER03`), or which output is not supported (`INFER04`).
pub fn infer(graph: &Graph, node: &Node) -> Result<Vec<(DType, Vec<usize>)>, Diagnostic> {
    let error = |code: &str, why: String| Diagnostic::error(code, why).node(&node.name);
    if let Some(declared) = CustomOp::of(&node.attrs) {
        return custom(graph, node, &declared);
    }
    let entry = registry::find(&node.op)
        .filter(|_| node.domain.is_empty())
        .ok_or_else(|| error("INFER02", format!("operator {} is not supported", node.op)))?;
    if let Some(name) = node.attrs.0.keys().find(|k| !entry.attrs.contains(&k.as_str())) {
        return Err(error("INFER03", format!("{} has an unknown attribute {name}", node.op)));
    }
    let mut out = (entry.infer)(&InferCtx::new(graph, node))?;
    if node.outputs.len() > out.len() {
        return Err(error("INFER04", format!("output {} of {} is not supported", out.len() + 1, node.op)));
    }
    out.truncate(node.outputs.len().max(1));
    for (dtype, shape) in &out {
        if numel(shape).and_then(|n| n.checked_mul(dtype.bytes())).is_none_or(|b| b > isize::MAX as usize) {
            return Err(error("INFER01", format!("output shape {shape:?} is too large")));
        }
    }
    Ok(out)
}

/// Outputs of a custom operator, by its declaration.
fn custom(graph: &Graph, node: &Node, declared: &CustomOp) -> Result<Vec<(DType, Vec<usize>)>, Diagnostic> {
    let given = |v: &Option<ptq_ir::ValueId>| {
        let value = v.and_then(|v| graph.values.get(v.0 as usize));
        value.map(|value| (value.dtype, value.shape.as_slice()))
    };
    let inputs: Vec<_> = node.inputs.iter().map(given).collect();
    let error = |why: String| {
        let message = format!("custom operator {}.{}: {why}", node.domain, node.op);
        let hint = format!("see [custom_op.{}]", declared.name);
        Diagnostic::error("INFER05", message).node(&node.name).hint(hint)
    };
    let mut out = declared.infer(&inputs, &node.attrs).map_err(error)?;
    if node.outputs.len() > out.len() {
        return Err(error(format!("the node has {} outputs, {} are declared", node.outputs.len(), out.len())));
    }
    for (dtype, shape) in &out {
        if numel(shape).and_then(|n| n.checked_mul(dtype.bytes())).is_none_or(|b| b > isize::MAX as usize) {
            return Err(error(format!("output shape {shape:?} is too large")));
        }
    }
    out.truncate(node.outputs.len().max(1));
    Ok(out)
}

/// Whether a file may use this operator of the standard domain (by itself, or converted to others).
pub fn is_known_op(op: &str) -> bool {
    registry::find(op).is_some() || crate::convert::replaces(op)
}

/// Attributes that an operator which a graph may hold can have.
pub fn attributes_of(op: &str) -> Option<&'static [&'static str]> {
    registry::find(op).map(|entry| entry.attrs)
}

/// Names of all operators that a graph may hold, sorted.
pub fn known_ops() -> Vec<&'static str> {
    let mut ops: Vec<&str> = registry::OPS.iter().map(|e| e.op).collect();
    ops.sort_unstable();
    ops
}

/// Names of all operators of the standard domain that a file may use, sorted: those that a graph may hold, those that
/// conversion replaces, and Constant, which import reads.
pub fn operators() -> Vec<&'static str> {
    let mut ops = known_ops();
    ops.extend(crate::convert::replaced());
    ops.push("Constant");
    ops.sort_unstable();
    ops.dedup();
    ops
}

#[cfg(test)]
mod tests;

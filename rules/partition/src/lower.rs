//! From accelerated float nodes to integer operators, one file an operator family.

mod arithmetic;
mod concat;
mod conv;
mod lut;
mod moves;
mod pool;

use crate::program::Builder;
use ptq_ir::{Activation, Diagnostic, NodeId, QuantParams, TensorId, ValueId, ops};

/// Adds the integer form of node `id` to the program. `int32` keeps the accumulator.
pub(crate) fn node(b: &mut Builder<'_>, id: NodeId, int32: bool) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    match node.op.as_str() {
        "Conv" => conv::lower(b, id, int32),
        "Add" | "Mul" => arithmetic::lower(b, id),
        "Concat" => concat::lower(b, id),
        "AveragePool" | "GlobalAveragePool" | "MaxPool" => pool::lower(b, id),
        "Resize" => moves::resize(b, id),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => moves::reshape(b, id, int32),
        "Transpose" => moves::transpose(b, id, int32),
        _ => lut::lower(b, id),
    }
}

/// The integer tensor of input `i`, quantized at a border where needed; constants become integer constants with a
/// range of their own.
fn input(b: &mut Builder<'_>, id: NodeId, i: usize) -> Result<TensorId, Diagnostic> {
    let node = b.graph.node(id);
    let level = b.level(id);
    let v =
        node.input(i).ok_or_else(|| Diagnostic::error("PART05", format!("input {i} is missing")).node(&node.name))?;
    match b.graph.constant(v) {
        Some(data) => {
            let values = data.f32s().map_err(|e| Diagnostic::error("PART06", e.to_string()).node(&node.name))?.to_vec();
            let (data, params) = arithmetic::quantize_constant(b.march, data.shape(), &values)
                .map_err(|e| Diagnostic::error("PART06", e.to_string()).node(&node.name))?;
            Ok(b.constant(v, "_quantized", data, params))
        }
        None => b.integer_tensor(v, level),
    }
}

/// The result value of a node and its parameters.
fn output(b: &mut Builder<'_>, id: NodeId) -> Result<(ValueId, QuantParams), Diagnostic> {
    let v = b.result(id)?;
    let params = b.params(v)?;
    Ok((v, params))
}

/// The activation that a node absorbs.
fn activation(b: &Builder<'_>, id: NodeId) -> Activation {
    b.absorbed(id).and_then(|a| ops::activation_of(b.graph, b.graph.node(a))).unwrap_or(Activation::None)
}

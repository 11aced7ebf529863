//! Reductions and Softmax along one axis.

use super::operands::{input, output};
use crate::builder::Builder;
use crate::constants::{Factor, requant};
use ptq_ir::{Diagnostic, NodeId, QOp, QReduce, QSoftmax, Reduction, ops};

/// ReduceSum, ReduceMean, ReduceMax with one axis that stays.
pub(super) fn reduce(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |why: &str| Diagnostic::error("PART15", why.to_owned()).node(&node.name);
    let Some(&[axis]) = ops::reduced_axes(b.graph, node).as_deref() else {
        return Err(bad("does not reduce one constant axis"));
    };
    let x = input(b, id, 0)?;
    let params = b.tensor_params(x);
    let extent = node.input(0).map_or(1, |v| b.graph.value(v).shape[axis]);
    let (kind, result, out, factor) = match node.op.as_str() {
        "ReduceMax" => (Reduction::Max, b.result(id)?, params, None),
        op => {
            let (result, out) = output(b, id)?;
            let (si, so) = (params.scale0(), out.scale0());
            if op == "ReduceMean" {
                (Reduction::Mean, result, out, Some(Factor::mean(si, so, extent)))
            } else {
                (Reduction::Sum, result, out, Some(Factor::ratio(si, so)))
            }
        }
    };
    let out_zero = if factor.is_some() { out.zero_point0() } else { 0 };
    let requant = factor.map(|f| requant(b.march.quantization.rounding, &[f]));
    let t = b.integer_home(result, out);
    b.bpu_node(id, QOp::Reduce(QReduce { kind, axis, requant, out_zero }), vec![x], result, t);
    Ok(())
}

/// Softmax in one step.
pub(super) fn softmax(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let x = input(b, id, 0)?;
    let (result, out) = output(b, id)?;
    let rank = b.graph.value(result).shape.len();
    let axis = ops::axis(node.attrs.int("axis", -1), rank)
        .ok_or_else(|| Diagnostic::error("PART15", "axis is outside the rank").node(&node.name))?;
    let params = b.tensor_params(x);
    let scale = f64::from(params.scale0());
    // Finer parts for finer results; a line of the longest extent stays far inside 64 bits.
    let one = f64::from(if params.dtype.bytes() == 1 { 1u32 << 20 } else { 1 << 30 });
    let values = 1u32 << (8 * params.dtype.bytes());
    let table = (0..values).map(|k| (one * (-scale * f64::from(k)).exp()).round() as u32).collect();
    let requant = requant(b.march.quantization.rounding, &[Factor::ratio(1.0, out.scale0())]);
    let op = QOp::Softmax(QSoftmax { axis, table, requant, out_zero: out.zero_point0() });
    let t = b.integer_home(result, out);
    b.bpu_node(id, op, vec![x], result, t);
    Ok(())
}

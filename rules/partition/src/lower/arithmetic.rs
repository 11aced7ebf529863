//! Operators of two operands. A Sub is a sum whose second multiplier is negative.

use super::operands::{activation, input, output};
use crate::builder::Builder;
use crate::constants::{Factor, clamp, requant, requant_sum};
use ptq_ir::{Diagnostic, NodeId, QAdd, QDiv, QExtreme, QMatMul, QMul, QOp};

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let (x, y) = (input(b, id, 0)?, input(b, id, 1)?);
    let (sx, sy) = (b.tensor_params(x).scale0(), b.tensor_params(y).scale0());
    let (result, out) = output(b, id)?;
    let rounding = b.march.quantization.rounding;
    let (so, out_zero) = (out.scale0(), out.zero_point0());
    let act = activation(b, id);
    let (clamp_lo, clamp_hi) = clamp(act, &out);
    let product = || requant(rounding, &[Factor::product(sx, sy, so)]);
    let pair = |sign: f32| requant_sum(rounding, Factor::ratio(sx, so), Factor::ratio(sign * sy, so));
    let sum = |sign| QOp::Add(QAdd { requant: pair(sign), out_zero, clamp_lo, clamp_hi, activation: act });
    let extreme = |smaller| QOp::Extreme(QExtreme { smaller, requant: pair(1.0), out_zero });
    let op = match b.graph.node(id).op.as_str() {
        "Mul" => QOp::Mul(QMul { requant: product(), out_zero, clamp_lo, clamp_hi }),
        "MatMul" => QOp::MatMul(QMatMul { requant: product(), out_zero }),
        "Div" => QOp::Div(QDiv { requant: requant(rounding, &[Factor::quotient(sx, sy, so)]), out_zero }),
        "Max" => extreme(false),
        "Min" => extreme(true),
        "Sub" => sum(-1.0),
        _ => sum(1.0),
    };
    let t = b.integer_home(result, out);
    b.bpu_node(id, op, vec![x, y], result, t);
    Ok(())
}

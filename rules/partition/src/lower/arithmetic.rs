//! Add, Sub and Mul. A Sub is a sum whose second multiplier is negative.

use super::operands::{activation, input, output};
use crate::builder::Builder;
use crate::constants::{Factor, clamp, requant, requant_sum};
use ptq_ir::{Diagnostic, NodeId, QAdd, QMul, QOp};

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let (x, y) = (input(b, id, 0)?, input(b, id, 1)?);
    let (sx, sy) = (b.tensor_params(x).scale0(), b.tensor_params(y).scale0());
    let (result, out) = output(b, id)?;
    let rounding = b.march.quantization.rounding;
    let (so, out_zero) = (out.scale0(), out.zero_point0());
    let act = activation(b, id);
    let (clamp_lo, clamp_hi) = clamp(act, &out);
    let op = if b.graph.node(id).op == "Mul" {
        QOp::Mul(QMul { requant: requant(rounding, &[Factor::product(sx, sy, so)]), out_zero, clamp_lo, clamp_hi })
    } else {
        let sign = if b.graph.node(id).op == "Sub" { -1.0 } else { 1.0 };
        QOp::Add(QAdd {
            requant: requant_sum(rounding, Factor::ratio(sx, so), Factor::ratio(sign * sy, so)),
            out_zero,
            clamp_lo,
            clamp_hi,
            activation: act,
        })
    };
    let t = b.integer_home(result, out);
    b.bpu_node(id, op, vec![x, y], result, t);
    Ok(())
}

//! Add and Mul.

use super::{activation, input, output};
use crate::constants::{Factor, clamp, requant, requant_sum};
use crate::program::Builder;
use ptq_ir::{ActScheme, DType, Diagnostic, NodeId, QAdd, QMul, QOp, QuantParams, Tensor, TensorError};
use ptq_kernels::requant::quantize;
use ptq_march::March;

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let (x, y) = (input(b, id, 0)?, input(b, id, 1)?);
    let (sx, sy) = (b.tensor_params(x).scale0(), b.tensor_params(y).scale0());
    let (result, out) = output(b, id)?;
    let rounding = b.march.quantization.rounding;
    let (so, out_zero) = (out.scale0(), out.zero_point0());
    let act = activation(b, id);
    let (clamp_lo, clamp_hi) = clamp(act, &out);
    let op = if b.graph.node(id).op == "Add" {
        QOp::Add(QAdd {
            requant: requant_sum(rounding, Factor::ratio(sx, so), Factor::ratio(sy, so)),
            out_zero,
            clamp_lo,
            clamp_hi,
            activation: act,
        })
    } else {
        QOp::Mul(QMul { requant: requant(rounding, &[Factor::product(sx, sy, so)]), out_zero, clamp_lo, clamp_hi })
    };
    let t = b.integer_home(result, out);
    b.bpu_node(id, op, vec![x, y], result, t);
    Ok(())
}

/// A constant operand as integers in the march's activation scheme, over its own range (which always contains 0).
pub(super) fn quantize_constant(
    march: &March,
    shape: &[usize],
    values: &[f32],
) -> Result<(Tensor, QuantParams), TensorError> {
    let lo = values.iter().copied().fold(0.0f32, f32::min);
    let hi = values.iter().copied().fold(0.0f32, f32::max);
    let positive = |s: f32| if s > 0.0 && s.is_finite() { s } else { 1.0 };
    match march.quantization.activations {
        ActScheme::SymmetricInt8 => {
            let scale = positive(hi.max(-lo) / 127.0);
            let q = values.iter().map(|&v| quantize(v, scale, 0, -127, 127) as i8).collect();
            Ok((Tensor::from_i8(shape, q)?, QuantParams::per_tensor(DType::I8, scale, 0)))
        }
        ActScheme::AffineUint8 => {
            let scale = positive((hi - lo) / 255.0);
            let zero = (-lo / scale).round_ties_even().clamp(0.0, 255.0) as i32;
            let q = values.iter().map(|&v| quantize(v, scale, zero, 0, 255) as u8).collect();
            Ok((Tensor::from_u8(shape, q)?, QuantParams::per_tensor(DType::U8, scale, zero)))
        }
    }
}

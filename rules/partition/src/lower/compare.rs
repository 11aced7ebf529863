//! Comparisons of two operands: with one scale for both, the sign of their difference, which 8 bits keep, and a table of 0 and 1.
//!
//! The operand of the finer scale is requantized to the coarser one, which loses nothing that the other could tell apart; where one has
//! 16 bits, both get 16 over the wider reach. Two equal numbers of steps are equal, whatever lies between two steps.

use super::operands::{constant_like, input};
use crate::builder::Builder;
use crate::constants::{Factor, requant, requant_sum};
use ptq_ir::{Activation, DType, Diagnostic, NodeId, QAdd, QLut, QOp, QRequantize, QuantParams, TensorId};

/// Largest number of steps of a symmetric 16-bit tensor.
const WORD: f32 = 32_767.0;

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let [x, y] = one_scale(b, id)?;
    let scale = b.tensor_params(x).scale0();
    let holds: fn(i16) -> bool = match node.op.as_str() {
        "Equal" => |d| d == 0,
        "Greater" => |d| d > 0,
        "GreaterOrEqual" => |d| d >= 0,
        "Less" => |d| d < 0,
        _ => |d| d <= 0,
    };
    let result = b.result(id)?;
    let shape = b.graph.value(result).shape.clone();
    // Saturation keeps the sign, and zero is a difference of zero alone.
    let bytes = QuantParams::per_tensor(DType::I8, scale, 0);
    let (lo, hi) = bytes.dtype.quant_range().unwrap_or((i32::from(i8::MIN), i32::from(i8::MAX)));
    let pair = requant_sum(b.march.quantization.rounding, Factor::ratio(scale, scale), Factor::ratio(-scale, scale));
    let less = QAdd { requant: pair, out_zero: 0, clamp_lo: lo, clamp_hi: hi, activation: Activation::None };
    let difference = b.inner(id, "difference", QOp::Add(less), vec![x, y], &shape, &bytes);
    let table = (lo..=hi).map(|d| i16::from(holds(d as i16))).collect();
    let op = QOp::Lut(QLut { op: node.op.clone(), attrs: node.attrs.clone(), table });
    let t = b.integer_home(result, QuantParams::per_tensor(DType::I8, 1.0, 0));
    b.bpu_node(id, op, vec![difference], result, t);
    Ok(())
}

/// Both operands as integers of one scale; their zero points may differ.
fn one_scale(b: &mut Builder<'_>, id: NodeId) -> Result<[TensorId; 2], Diagnostic> {
    let node = b.graph.node(id);
    let constant = |i: usize| node.input(i).is_some_and(|v| b.graph.constant(v).is_some());
    let operands = match (constant(0), constant(1)) {
        (true, false) => {
            let y = input(b, id, 1)?;
            [constant_like(b, id, 0, y)?, y]
        }
        (false, true) => {
            let x = input(b, id, 0)?;
            [x, constant_like(b, id, 1, x)?]
        }
        _ => [input(b, id, 0)?, input(b, id, 1)?],
    };
    let params = operands.map(|t| b.tensor_params(t));
    let words = params.iter().any(|p| p.dtype.bytes() > 1);
    let scale = params.iter().map(|p| if words { reach(p) / WORD } else { p.scale0() }).fold(0.0, f32::max);
    let mut out = operands;
    for (i, (t, from)) in operands.into_iter().zip(params).enumerate() {
        let to = match words {
            true => QuantParams::per_tensor(DType::I16, scale, 0),
            false => QuantParams::per_tensor(from.dtype, scale, from.zero_point0()),
        };
        if (from.dtype, from.scale0()) == (to.dtype, to.scale0()) {
            continue;
        }
        let factor = Factor::ratio(from.scale0(), to.scale0());
        let requant = requant(b.march.quantization.rounding, &[factor]);
        let op = QOp::Requantize(QRequantize { requant, out_zero: to.zero_point0() });
        let shape = b.tensor_shape(t);
        out[i] = b.inner(id, &format!("operand_{i}"), op, vec![t], &shape, &to);
        b.stands_for(out[i], t);
    }
    Ok(out)
}

/// The largest magnitude that parameters can hold.
fn reach(params: &QuantParams) -> f32 {
    let (scale, zero) = (params.scale0(), params.zero_point0());
    match params.dtype.quant_range() {
        Some((lo, hi)) if params.dtype.bytes() == 1 => scale * (zero - lo).max(hi - zero) as f32,
        _ => scale * WORD,
    }
}

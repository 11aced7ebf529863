//! ArgMax and ArgMin along one axis of at most 128 elements, in steps that every target has and that lose nothing: each value of
//! 8 bits and its place together are one number of 16 bits, whose largest tells the place.
//!
//! With n the power of two from the axis' extent on, and k(i) = n·(q(i) - zero), for ArgMin its negative: the largest of k(i) - i
//! is n·q - i for the first of the largest q, so the largest k less it is that i. The last one is found with + i. All differences are
//! below 2^16 and every multiplier is a power of two. Scales follow along, so that an exported file says the same in real numbers.

use super::operands::input;
use crate::builder::Builder;
use crate::constants::{Factor, requant, requant_sum};
use ptq_ir::{
    Activation, DType, Diagnostic, NodeId, QAdd, QMul, QOp, QReduce, QRequantize, QuantParams, Reduction, Tensor,
    TensorId, ops,
};

/// Longest axis: 255 steps of a value times 128, and 127, stay inside 16 bits.
const LONGEST: usize = 128;

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |why: String| Diagnostic::error("PART18", why).node(&node.name);
    let shape = node.input(0).map(|v| b.graph.value(v).shape.clone()).unwrap_or_default();
    let axis =
        ops::axis(node.attrs.int("axis", 0), shape.len()).ok_or_else(|| bad("axis is outside the rank".into()))?;
    let extent = shape[axis];
    let x = input(b, id, 0)?;
    let params = b.tensor_params(x);
    let step = params.scale0() / extent.next_power_of_two() as f32;
    if extent > LONGEST || params.dtype.bytes() != 1 || !step.is_normal() || !step.recip().is_finite() {
        let scale = params.scale0();
        return Err(bad(format!(
            "takes up to {LONGEST} elements of 8 bits; these are {extent} of {}, scale {scale}",
            params.dtype
        )));
    }
    let rounding = b.march.quantization.rounding;
    let words = QuantParams::per_tensor(DType::I16, step, 0);
    let (lo, hi) = words.dtype.quant_range().unwrap_or((i32::from(i16::MIN), i32::from(i16::MAX)));
    let sum = |sign: f32| {
        let requant = requant_sum(rounding, Factor::ratio(step, step), Factor::ratio(sign * step, step));
        QOp::Add(QAdd { requant, out_zero: 0, clamp_lo: lo, clamp_hi: hi, activation: Activation::None })
    };
    let largest = || QOp::Reduce(QReduce { kind: Reduction::Max, axis, requant: None, out_zero: 0 });
    let broken = |e: &dyn std::fmt::Display| bad(e.to_string());
    let result = b.result(id)?;
    let number = |b: &mut Builder<'_>, what: &str, shape: Vec<usize>, values: Vec<i16>, params: &QuantParams| {
        let data = Tensor::from_i16(shape, values).map_err(|e| broken(&e))?;
        Ok::<TensorId, Diagnostic>(b.constant(result, what, data, params.clone()))
    };
    let ones = vec![1; shape.len()];
    let mut line = ones.clone();
    line[axis] = extent;
    let mut found = shape.clone();
    found[axis] = 1;

    let spread = requant(rounding, &[Factor::ratio(params.scale0(), step)]);
    let spread = QOp::Requantize(QRequantize { requant: spread, out_zero: 0 });
    let mut keys = b.inner(id, "keys", spread, vec![x], &shape, &words);
    if node.is("ArgMin") {
        let zero = number(b, "_zero", ones.clone(), vec![0], &words)?;
        keys = b.inner(id, "negated", sum(-1.0), vec![zero, keys], &shape, &words);
    }
    let last = node.attrs.int("select_last_index", 0) != 0;
    let places = number(b, "_places", line, (0..extent as i16).collect(), &words)?;
    let marked = b.inner(id, "marked", sum(if last { 1.0 } else { -1.0 }), vec![keys, places], &shape, &words);
    let best = b.inner(id, "best", largest(), vec![marked], &found, &words);
    let top = b.inner(id, "top", largest(), vec![keys], &found, &words);
    let operands = if last { vec![best, top] } else { vec![top, best] };
    let place = b.inner(id, "place", sum(-1.0), operands, &found, &words);
    // The place is an integer now, of numbers that are steps; the reciprocal of a step makes it the place in real numbers too.
    let unit = QuantParams::per_tensor(DType::I16, 1.0, 0);
    let scale = QuantParams::per_tensor(DType::I16, step.recip(), 0);
    let one = number(b, "_one", ones, vec![1], &scale)?;
    let product = requant(rounding, &[Factor::product(step, step.recip(), 1.0)]);
    let op = QOp::Mul(QMul { requant: product, out_zero: 0, clamp_lo: lo, clamp_hi: hi });
    let y = b.integer_home(result, unit);
    b.bpu_node(id, op, vec![place, one], result, y);
    Ok(())
}

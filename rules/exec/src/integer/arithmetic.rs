//! Add, Mul, Max, Min and Div with broadcasting.

use super::operand::{Operand, bad, count, expect_entries, range, tensor};
use crate::ExecError;
use ptq_ir::{QAdd, QDiv, QExtreme, QMul, QTensor, Requant, Tensor, broadcast_shapes, strides};
use ptq_kernels::requant::{add_fixed, add_float, apply, quotient, store};

pub(super) fn add(add: &QAdd, operands: &[Operand<'_>], out: &QTensor) -> Result<Tensor, ExecError> {
    let sum = |a: i32, b: i32| match &add.requant {
        Requant::Float(m) => match m[..] {
            [ma, mb] => Ok(add_float(a, ma, b, mb)),
            _ => Err(bad(out, "a sum needs two multipliers".into())),
        },
        Requant::Fixed(m) => match m[..] {
            [(ma, shift), (mb, other)] if shift == other => Ok(add_fixed(a, ma, b, mb, shift)),
            _ => Err(bad(out, "a sum needs two multipliers with one shift".into())),
        },
    };
    elementwise(operands, out, |a, b| Ok(store(sum(a, b)?, add.out_zero, add.clamp_lo, add.clamp_hi)))
}

pub(super) fn mul(mul: &QMul, operands: &[Operand<'_>], out: &QTensor) -> Result<Tensor, ExecError> {
    expect_entries(out, &mul.requant, 1)?;
    elementwise(operands, out, |a, b| {
        let product = a.wrapping_mul(b);
        Ok(store(apply(&mul.requant, 0, product), mul.out_zero, mul.clamp_lo, mul.clamp_hi))
    })
}

pub(super) fn extreme(extreme: &QExtreme, operands: &[Operand<'_>], out: &QTensor) -> Result<Tensor, ExecError> {
    expect_entries(out, &extreme.requant, 2)?;
    let (lo, hi) = range(out)?;
    elementwise(operands, out, |a, b| {
        let (a, b) = (apply(&extreme.requant, 0, a), apply(&extreme.requant, 1, b));
        Ok(store(if extreme.smaller { a.min(b) } else { a.max(b) }, extreme.out_zero, lo, hi))
    })
}

pub(super) fn div(div: &QDiv, operands: &[Operand<'_>], out: &QTensor) -> Result<Tensor, ExecError> {
    expect_entries(out, &div.requant, 1)?;
    let (lo, hi) = range(out)?;
    elementwise(operands, out, |a, b| Ok(store(quotient(&div.requant, a.into(), b.into()), div.out_zero, lo, hi)))
}

/// `f(a - a_zero, b - b_zero)` over the broadcast shape.
fn elementwise(
    operands: &[Operand<'_>],
    out: &QTensor,
    f: impl Fn(i32, i32) -> Result<i32, ExecError>,
) -> Result<Tensor, ExecError> {
    let [a, b] = operands else { return Err(bad(out, format!("{} operands instead of 2", operands.len()))) };
    let (sa, sb) = (a.data.shape(), b.data.shape());
    let shape = broadcast_shapes(sa, sb).ok_or_else(|| bad(out, format!("{sa:?} and {sb:?} do not broadcast")))?;
    let (va, vb) = (a.ints()?, b.ints()?);
    let (za, zb) = (a.zero(), b.zero());
    let out_strides = strides(&shape);
    let (map_a, map_b) = (index_map(sa, &shape, &out_strides), index_map(sb, &shape, &out_strides));
    let values = (0..count(out, &shape)?)
        .map(|i| f(va[map_a(i)].wrapping_sub(za), vb[map_b(i)].wrapping_sub(zb)))
        .collect::<Result<Vec<_>, _>>()?;
    tensor(out, &shape, values)
}

/// Where element `i` of the result is in an operand of this shape.
pub(super) fn index_map(shape: &[usize], out: &[usize], out_strides: &[usize]) -> impl Fn(usize) -> usize {
    let lead = out.len() - shape.len();
    let dims: Vec<(usize, usize, usize)> = strides(shape)
        .iter()
        .enumerate()
        .filter(|&(d, _)| shape[d] != 1)
        .map(|(d, &own)| (out_strides[d + lead], shape[d], own))
        .collect();
    let same = shape == out;
    move |i| if same { i } else { dims.iter().map(|&(step, extent, own)| i / step % extent * own).sum() }
}

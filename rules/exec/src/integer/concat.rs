//! Concat: inputs are requantized to the output's scale, unless their parameters are equal. Requantize is that step alone.

use super::operand::{Operand, bad, expect_entries, range, tensor};
use crate::ExecError;
use ptq_ir::{QConcat, QRequantize, QTensor, Tensor};
use ptq_kernels::requant::{apply, store};

pub(super) fn run(concat: &QConcat, operands: &[Operand<'_>], out: &QTensor) -> Result<Tensor, ExecError> {
    let (axis, shape) = (concat.axis, &out.shape);
    if axis >= shape.len() || concat.requant.len() != operands.len() {
        return Err(bad(out, "axis or requantizations do not fit".into()));
    }
    let (lo, hi) = range(out)?;
    let mut parts = Vec::new();
    for (x, requant) in operands.iter().zip(&concat.requant) {
        let fits =
            x.data.shape().len() == shape.len() && (0..shape.len()).all(|d| d == axis || x.data.shape()[d] == shape[d]);
        if !fits {
            return Err(bad(x.info, format!("shape {:?} does not fit {shape:?}", x.data.shape())));
        }
        if let Some(requant) = requant {
            expect_entries(x.info, requant, 1)?;
        }
        let zero = x.zero();
        let values = x.ints()?.into_iter().map(|v| match requant {
            Some(r) => store(apply(r, 0, v.wrapping_sub(zero)), concat.out_zero, lo, hi),
            None => v,
        });
        parts.push((values.collect::<Vec<i32>>(), x.data.shape()[axis..].iter().product::<usize>()));
    }
    let mut y = Vec::new();
    for o in 0..shape[..axis].iter().product() {
        for (values, run) in &parts {
            y.extend_from_slice(&values[o * run..(o + 1) * run]);
        }
    }
    tensor(out, shape, y)
}

pub(super) fn requantize(requantize: &QRequantize, x: &Operand<'_>, out: &QTensor) -> Result<Tensor, ExecError> {
    let ((lo, hi), zero) = (range(out)?, x.zero());
    expect_entries(out, &requantize.requant, 1)?;
    let step = |v: i32| store(apply(&requantize.requant, 0, v.wrapping_sub(zero)), requantize.out_zero, lo, hi);
    tensor(out, x.data.shape(), x.ints()?.into_iter().map(step).collect())
}

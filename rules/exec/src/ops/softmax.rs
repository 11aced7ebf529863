//! Softmax and LogSoftmax along one axis (opset 13 and later).

use crate::ExecError;
use crate::call::Call;
use crate::ops::transpose::permuted;
use ptq_ir::Tensor;
use ptq_kernels::{Isa, map, math, max_of, sum};

pub(super) fn softmax(call: &Call<'_>) -> Result<Tensor, ExecError> {
    by_rows(call, |row, out| {
        let top = max_of(row);
        let e = exponentials(row, top);
        let total = sum(&e);
        out.extend(e.iter().map(|v| v / total));
    })
}

pub(super) fn log_softmax(call: &Call<'_>) -> Result<Tensor, ExecError> {
    by_rows(call, |row, out| {
        let top = max_of(row);
        let log_total = math::log(sum(&exponentials(row, top)));
        out.extend(row.iter().map(|v| (v - top) - log_total));
    })
}

fn exponentials(row: &[f32], top: f32) -> Vec<f32> {
    let mut e = Vec::with_capacity(row.len());
    map(Isa::best(), row, &mut e, |v| math::exp(v - top));
    e
}

/// Applies `f` to each row along the axis.
fn by_rows(call: &Call<'_>, f: impl Fn(&[f32], &mut Vec<f32>)) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let axis = call.axis(call.attrs.int("axis", -1), rank)?;
    let mut swap: Vec<usize> = (0..rank).collect();
    swap.swap(axis, rank - 1);
    let moved = if axis == rank - 1 { x.clone() } else { permuted(x, &swap)? };
    let mut out = Vec::with_capacity(x.len());
    moved.f32s()?.chunks_exact(x.shape()[axis].max(1)).for_each(|row| f(row, &mut out));
    let y = Tensor::from_f32(moved.shape(), out)?;
    if axis == rank - 1 { Ok(y) } else { permuted(&y, &swap) }
}

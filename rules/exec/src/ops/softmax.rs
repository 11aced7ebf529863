//! Softmax and LogSoftmax along one axis (opset 13 and later).

use crate::ExecError;
use crate::call::Call;
use crate::ops::transpose::permuted;
use ptq_ir::Tensor;
use ptq_kernels::{Isa, map, math, max_of, split, sum};

pub(super) fn softmax(call: &Call<'_>) -> Result<Tensor, ExecError> {
    by_rows(call, |row, out| {
        exponentials(row, max_of(row), out);
        let total = sum(out);
        out.iter_mut().for_each(|v| *v /= total);
    })
}

pub(super) fn log_softmax(call: &Call<'_>) -> Result<Tensor, ExecError> {
    by_rows(call, |row, out| {
        let top = max_of(row);
        exponentials(row, top, out);
        let log_total = math::log(sum(out));
        out.iter_mut().zip(row).for_each(|(o, v)| *o = (v - top) - log_total);
    })
}

fn exponentials(row: &[f32], top: f32, out: &mut [f32]) {
    map(Isa::best(), 1, row, out, move |v| math::exp(v - top));
}

/// Applies `f` to each row along the axis and its result.
fn by_rows(call: &Call<'_>, f: impl Fn(&[f32], &mut [f32]) + Sync) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let axis = call.axis(call.attrs.int("axis", -1), rank)?;
    let mut swap: Vec<usize> = (0..rank).collect();
    swap.swap(axis, rank - 1);
    let moved = if axis == rank - 1 { x.clone() } else { permuted(x, &swap)? };
    let (v, width) = (moved.f32s()?, x.shape()[axis].max(1));
    let mut out = call.buffers.any(x.len());
    split(call.threads, x.len() * 2, &mut out, width, |first, out| {
        let rows = v[first * width..].chunks_exact(width);
        rows.zip(out.chunks_exact_mut(width)).for_each(|(row, out)| f(row, out));
    });
    let y = Tensor::from_f32(moved.shape(), out)?;
    if axis == rank - 1 { Ok(y) } else { permuted(&y, &swap) }
}

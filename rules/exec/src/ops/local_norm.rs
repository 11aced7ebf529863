//! LRN, LpNormalization and Hardmax.

use super::transpose::permuted;
use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;
use ptq_kernels::{math, sum};

/// `x / (bias + alpha / size · Σ x²)^beta`, the sum over `size` channels around the own one.
pub(super) fn lrn(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let channels = *x.shape().get(1).ok_or_else(|| call.bad("input has no channel axis"))?;
    let size = usize::try_from(call.attrs.int("size", 0)).ok().filter(|&n| n > 0);
    let size = size.ok_or_else(|| call.bad("size must be positive"))?;
    let (alpha, beta) = (call.attrs.float("alpha", 1e-4), call.attrs.float("beta", 0.75));
    let (bias, scale) = (call.attrs.float("bias", 1.0), alpha / size as f32);
    let (before, after) = ((size - 1) / 2, size / 2);
    let inner: usize = x.shape()[2..].iter().product();
    let mut out = Vec::with_capacity(x.len());
    for image in x.f32s()?.chunks_exact((channels * inner).max(1)) {
        for c in 0..channels {
            let near = c.saturating_sub(before)..(c + after + 1).min(channels);
            for p in 0..inner {
                let total = near.clone().fold(0.0f32, |s, n| image[n * inner + p].mul_add(image[n * inner + p], s));
                out.push(image[c * inner + p] / math::pow(scale.mul_add(total, bias), beta));
            }
        }
    }
    Ok(Tensor::from_f32(x.shape(), out)?)
}

/// `x / ‖x‖` along one axis; a row of zeros stays.
pub(super) fn lp(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let squares = match call.attrs.int("p", 2) {
        1 => false,
        2 => true,
        p => return Err(call.bad(format!("p = {p} is neither 1 nor 2"))),
    };
    along(call, -1, |row, out| {
        let terms: Vec<f32> = row.iter().map(|v| if squares { v * v } else { v.abs() }).collect();
        let norm = if squares { sum(&terms).sqrt() } else { sum(&terms) };
        out.extend(row.iter().map(|v| if norm == 0.0 { 0.0 } else { v / norm }));
    })
}

/// One at the first largest element along an axis, zero elsewhere.
pub(super) fn hardmax(call: &Call<'_>) -> Result<Tensor, ExecError> {
    along(call, -1, |row, out| {
        let best = (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
        out.extend((0..row.len()).map(|i| if i == best { 1.0 } else { 0.0 }));
    })
}

/// Applies `f` to each row along the attribute `axis`.
fn along(call: &Call<'_>, default: i64, f: impl Fn(&[f32], &mut Vec<f32>)) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let axis = call.axis(call.attrs.int("axis", default), rank)?;
    let mut swap: Vec<usize> = (0..rank).collect();
    swap.swap(axis, rank - 1);
    let moved = permuted(x, &swap)?;
    let mut out = Vec::with_capacity(x.len());
    moved.f32s()?.chunks_exact(x.shape()[axis].max(1)).for_each(|row| f(row, &mut out));
    permuted(&Tensor::from_f32(moved.shape(), out)?, &swap)
}

//! ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceProd, ArgMax, ArgMin.

use crate::ExecError;
use crate::call::Call;
use crate::ops::transpose::permuted;
use ptq_ir::{Tensor, TensorData};
use ptq_kernels::{max_of, mean, sum};

/// Axes from the attribute, or from input 1 (ReduceSum since opset 13, all of them since 18).
fn axes_of(call: &Call<'_>, rank: usize) -> Result<Option<Vec<usize>>, ExecError> {
    let raw = match call.ints(1)? {
        Some(raw) => Some(raw),
        None => call.attrs.ints("axes").map(<[i64]>::to_vec),
    };
    match raw.filter(|r| !r.is_empty()) {
        Some(raw) => Ok(Some(call.axes(&raw, rank)?)),
        None if call.attrs.int("noop_with_empty_axes", 0) != 0 => Ok(None),
        None => Ok(Some((0..rank).collect())),
    }
}

/// A tensor with the reduced axes behind the others, the length of a row, and the result's shape.
struct Rows {
    x: Tensor,
    row: usize,
    shape: Vec<usize>,
}

fn rows(call: &Call<'_>, axes: &[usize]) -> Result<Rows, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let kept: Vec<usize> = (0..rank).filter(|d| !axes.contains(d)).collect();
    let perm: Vec<usize> = kept.iter().chain(axes).copied().collect();
    let in_order = perm.iter().enumerate().all(|(i, &p)| i == p);
    let keep = call.attrs.int("keepdims", 1) != 0;
    let shape = (0..rank)
        .filter(|d| keep || !axes.contains(d))
        .map(|d| if axes.contains(&d) { 1 } else { x.shape()[d] })
        .collect();
    let row: usize = axes.iter().map(|&d| x.shape()[d]).product();
    if row == 0 {
        return Err(call.bad("a reduced axis is empty"));
    }
    Ok(Rows { x: if in_order { x.clone() } else { permuted(x, &perm)? }, row, shape })
}

/// One reduction, for floats and for integers.
fn reduce(call: &Call<'_>, float: impl Fn(&[f32]) -> f32, int: Option<fn(&[i64]) -> i64>) -> Result<Tensor, ExecError> {
    let Some(axes) = axes_of(call, call.input(0)?.shape().len())? else { return Ok(call.input(0)?.clone()) };
    let Rows { x, row, shape } = rows(call, &axes)?;
    match (x.data(), int) {
        (TensorData::F32(v), _) => Ok(Tensor::from_f32(shape, v.chunks_exact(row).map(float).collect())?),
        (TensorData::I64(v), Some(int)) => Ok(Tensor::from_i64(shape, v.chunks_exact(row).map(int).collect())?),
        (TensorData::I32(_), Some(int)) => {
            let wide = x.to_i64s()?;
            Ok(Tensor::from_i32(shape, wide.chunks_exact(row).map(|r| int(r) as i32).collect())?)
        }
        _ => Err(call.bad(format!("{} is not supported", x.dtype()))),
    }
}

pub(super) fn reduce_mean(call: &Call<'_>) -> Result<Tensor, ExecError> {
    reduce(call, mean, None)
}

pub(super) fn reduce_sum(call: &Call<'_>) -> Result<Tensor, ExecError> {
    reduce(call, sum, Some(|r| r.iter().fold(0, |a, v| a.wrapping_add(*v))))
}

pub(super) fn reduce_max(call: &Call<'_>) -> Result<Tensor, ExecError> {
    reduce(call, max_of, Some(|r| r.iter().copied().fold(i64::MIN, i64::max)))
}

pub(super) fn reduce_min(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let least = |r: &[f32]| r.iter().fold(f32::INFINITY, |a, &v| if a <= v || a.is_nan() { a } else { v });
    reduce(call, least, Some(|r| r.iter().copied().fold(i64::MAX, i64::min)))
}

pub(super) fn reduce_prod(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let product = |r: &[f32]| r.iter().fold(1.0, |a, v| a * v);
    reduce(call, product, Some(|r| r.iter().fold(1, |a, v| a.wrapping_mul(*v))))
}

pub(super) fn reduce_l2(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let norm = |r: &[f32]| sum(&r.iter().map(|v| v * v).collect::<Vec<_>>()).sqrt();
    reduce(call, norm, None)
}

pub(super) fn arg_max(call: &Call<'_>) -> Result<Tensor, ExecError> {
    arg(call, |best, v| v > best)
}

pub(super) fn arg_min(call: &Call<'_>) -> Result<Tensor, ExecError> {
    arg(call, |best, v| v < best)
}

/// Index of the first (or with `select_last_index` the last) best element along one axis.
fn arg(call: &Call<'_>, better: impl Fn(f64, f64) -> bool) -> Result<Tensor, ExecError> {
    let axis = call.axis(call.attrs.int("axis", 0), call.input(0)?.shape().len())?;
    let Rows { x, row, shape } = rows(call, &[axis])?;
    let last = call.attrs.int("select_last_index", 0) != 0;
    let values = x.to_f64s();
    let pick = |r: &[f64]| {
        let mut best = 0;
        for (i, &v) in r.iter().enumerate() {
            if better(r[best], v) || (last && v == r[best]) {
                best = i;
            }
        }
        best as i64
    };
    Ok(Tensor::from_i64(shape, values.chunks_exact(row).map(pick).collect())?)
}

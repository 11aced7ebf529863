//! Reductions over axes, and ArgMax and ArgMin.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use crate::ops::transpose::permuted;
use ptq_ir::{Tensor, TensorData};
use ptq_kernels::{math, math::wide, max_of, mean, sum};

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

impl Rows {
    fn of(call: &Call<'_>, axes: &[usize]) -> Result<Rows, ExecError> {
        let x = call.input(0)?;
        let rank = x.shape().len();
        let kept: Vec<usize> = (0..rank).filter(|d| !axes.contains(d)).collect();
        let perm: Vec<usize> = kept.iter().chain(axes).copied().collect();
        let in_order = perm.iter().enumerate().all(|(i, &p)| i == p);
        let keep = call.attrs.int("keepdims", 1) != 0;
        let shape: Vec<usize> = (0..rank)
            .filter(|d| keep || !axes.contains(d))
            .map(|d| if axes.contains(&d) { 1 } else { x.shape()[d] })
            .collect();
        call.bounded(&shape)?;
        let row: usize = axes.iter().map(|&d| x.shape()[d]).product();
        Ok(Rows { x: if in_order { x.clone() } else { permuted(x, &perm)? }, row, shape })
    }

    /// One result for each row; rows may be empty.
    fn map<'a, T, R>(&self, v: &'a [T], f: impl Fn(&'a [T]) -> R) -> Vec<R> {
        let count: usize = self.shape.iter().product();
        (0..count).map(|i| f(&v[i * self.row..(i + 1) * self.row])).collect()
    }
}

/// What a reduction computes of a row, in each kind of numbers. Integers are wide enough for any sum of their type.
struct Reduction {
    single: fn(&[f32]) -> f32,
    double: fn(&[f64]) -> f64,
    integer: Integers,
}

/// How integers are reduced.
enum Integers {
    /// Exactly; the result wraps to the element type.
    Exact(fn(&[i128]) -> i128),
    /// In double precision; the result is cut toward zero.
    Cut,
}

fn reduce(call: &Call<'_>, reduction: &Reduction) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let axes = axes_of(call, x.shape().len())?.unwrap_or_default();
    let rows = Rows::of(call, &axes)?;
    macro_rules! integers {
        ($v:expr, $make:ident, $ty:ty) => {{
            let results: Vec<$ty> = match reduction.integer {
                Integers::Exact(f) => {
                    let wide: Vec<i128> = $v.iter().map(|&v| i128::from(v)).collect();
                    let narrow = |r: i128| r as $ty;
                    rows.map(&wide, f).into_iter().map(narrow).collect()
                }
                Integers::Cut => rows.map(&rows.x.to_f64s(), reduction.double).into_iter().map(|r| r as $ty).collect(),
            };
            Ok(Tensor::$make(rows.shape, results)?)
        }};
    }
    match rows.x.data() {
        TensorData::F32(v) => Ok(Tensor::from_f32(rows.shape.clone(), rows.map(v, reduction.single))?),
        TensorData::F64(v) => Ok(Tensor::from_f64(rows.shape.clone(), rows.map(v, reduction.double))?),
        TensorData::I64(v) => integers!(v, from_i64, i64),
        TensorData::I32(v) => integers!(v, from_i32, i32),
        TensorData::I16(v) => integers!(v, from_i16, i16),
        TensorData::I8(v) => integers!(v, from_i8, i8),
        TensorData::U8(v) => integers!(v, from_u8, u8),
        TensorData::U16(v) => integers!(v, from_u16, u16),
        TensorData::U32(v) => integers!(v, from_u32, u32),
        TensorData::U64(v) => integers!(v, from_u64, u64),
        TensorData::Bool(_) => Err(call.bad("truth values are not numbers")),
    }
}

/// Sum of `f` of each element.
fn sum_of(r: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    sum(&r.iter().map(|&v| f(v)).collect::<Vec<_>>())
}

/// Smallest element; infinity of nothing. NaN wins.
fn least<T: Copy + PartialOrd>(r: &[T], top: T) -> T {
    r.iter().fold(top, |a, &v| if a <= v || a.partial_cmp(&a).is_none() { a } else { v })
}

/// Largest element; -infinity of nothing. NaN wins.
fn most(r: &[f64]) -> f64 {
    r.iter().fold(f64::NEG_INFINITY, |a, &v| if a >= v || a.is_nan() { a } else { v })
}

pub(super) fn reduce_mean(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let double = |r: &[f64]| r.iter().sum::<f64>() / r.len() as f64;
    reduce(call, &Reduction { single: mean, double, integer: Integers::Cut })
}

pub(super) fn reduce_sum(call: &Call<'_>) -> Result<Tensor, ExecError> {
    if axes_of(call, call.input(0)?.shape().len())?.is_none() {
        return Ok(call.input(0)?.clone());
    }
    let integer = Integers::Exact(|r| r.iter().sum());
    reduce(call, &Reduction { single: sum, double: |r| r.iter().sum(), integer })
}

pub(super) fn reduce_max(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let integer = Integers::Exact(|r| r.iter().copied().max().unwrap_or(0));
    reduce(call, &Reduction { single: max_of, double: most, integer })
}

pub(super) fn reduce_min(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let integer = Integers::Exact(|r| r.iter().copied().min().unwrap_or(0));
    let (single, double) = (|r: &[f32]| least(r, f32::INFINITY), |r: &[f64]| least(r, f64::INFINITY));
    reduce(call, &Reduction { single, double, integer })
}

pub(super) fn reduce_prod(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let integer = Integers::Exact(|r| r.iter().fold(1, |a, v| a.wrapping_mul(*v)));
    let single = |r: &[f32]| r.iter().fold(1.0, |a, v| a * v);
    reduce(call, &Reduction { single, double: |r| r.iter().product(), integer })
}

pub(super) fn reduce_l1(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let integer = Integers::Exact(|r| r.iter().map(|v| v.abs()).sum());
    let (single, double) = (|r: &[f32]| sum_of(r, f32::abs), |r: &[f64]| r.iter().map(|v| v.abs()).sum());
    reduce(call, &Reduction { single, double, integer })
}

pub(super) fn reduce_l2(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let single = |r: &[f32]| sum_of(r, |v| v * v).sqrt();
    let double = |r: &[f64]| r.iter().map(|v| v * v).sum::<f64>().sqrt();
    reduce(call, &Reduction { single, double, integer: Integers::Cut })
}

pub(super) fn reduce_sum_square(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let integer = Integers::Exact(|r| r.iter().fold(0, |a, v| a.wrapping_add(v.wrapping_mul(*v))));
    let (single, double) = (|r: &[f32]| sum_of(r, |v| v * v), |r: &[f64]| r.iter().map(|v| v * v).sum());
    reduce(call, &Reduction { single, double, integer })
}

pub(super) fn reduce_log_sum(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let double = |r: &[f64]| wide::log(r.iter().sum());
    reduce(call, &Reduction { single: |r| math::log(sum(r)), double, integer: Integers::Cut })
}

/// `max + log(sum(exp(x - max)))`; an infinite maximum is the result.
pub(super) fn reduce_log_sum_exp(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let single = |r: &[f32]| match max_of(r) {
        top if top.is_finite() => top + math::log(sum_of(r, |v| math::exp(v - top))),
        top => top,
    };
    let double = |r: &[f64]| match most(r) {
        top if top.is_finite() => top + wide::log(r.iter().map(|v| wide::exp(v - top)).sum()),
        top => top,
    };
    reduce(call, &Reduction { single, double, integer: Integers::Cut })
}

#[allow(clippy::bool_comparison, reason = "one body for all types")]
pub(super) fn arg_max(call: &Call<'_>) -> Result<Tensor, ExecError> {
    each_type!(call.input(0)?, v => arg(call, v, &|best, v| v > best))
}

#[allow(clippy::bool_comparison, reason = "one body for all types")]
pub(super) fn arg_min(call: &Call<'_>) -> Result<Tensor, ExecError> {
    each_type!(call.input(0)?, v => arg(call, v, &|best, v| v < best))
}

/// Index of the first (or with `select_last_index` the last) best element along one axis. `_like` only names the type.
fn arg<T: Element>(call: &Call<'_>, _like: &[T], better: &dyn Fn(T, T) -> bool) -> Result<Tensor, ExecError> {
    let axis = call.axis(call.attrs.int("axis", 0), call.input(0)?.shape().len())?;
    let rows = Rows::of(call, &[axis])?;
    if rows.row == 0 {
        return Err(call.bad("the axis is empty"));
    }
    let last = call.attrs.int("select_last_index", 0) != 0;
    let pick = |r: &[T]| {
        let mut best = 0;
        for (i, &v) in r.iter().enumerate() {
            if better(r[best], v) || (last && v == r[best]) {
                best = i;
            }
        }
        best as i64
    };
    let picks = rows.map(T::of(&rows.x)?, pick);
    Ok(Tensor::from_i64(rows.shape, picks)?)
}

//! Functions of one number.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_number};
use ptq_ir::{Tensor, TensorData};
use ptq_kernels::{Isa, map, math, math::wide};

/// A function on floats, signed and unsigned integers.
macro_rules! number {
    ($call:expr, |$v:ident| float $f:expr, signed $i:expr, unsigned $u:expr) => {{
        let (call, x): (&Call<'_>, &Tensor) = ($call, $call.input(0)?);
        match x.data() {
            TensorData::F32(_) | TensorData::F64(_) => real(call, |$v: f32| $f, |$v: f64| $f),
            TensorData::I64(d) => Ok(Tensor::from_i64(x.shape(), mapped(d, &|$v| $i))?),
            TensorData::I32(d) => Ok(Tensor::from_i32(x.shape(), mapped(d, &|$v| $i))?),
            TensorData::I16(d) => Ok(Tensor::from_i16(x.shape(), mapped(d, &|$v| $i))?),
            TensorData::I8(d) => Ok(Tensor::from_i8(x.shape(), mapped(d, &|$v| $i))?),
            TensorData::U64(d) => Ok(Tensor::from_u64(x.shape(), mapped(d, &|$v| $u))?),
            TensorData::U32(d) => Ok(Tensor::from_u32(x.shape(), mapped(d, &|$v| $u))?),
            TensorData::U16(d) => Ok(Tensor::from_u16(x.shape(), mapped(d, &|$v| $u))?),
            TensorData::U8(d) => Ok(Tensor::from_u8(x.shape(), mapped(d, &|$v| $u))?),
            TensorData::Bool(_) => Err(call.bad("truth values are not numbers")),
        }
    }};
}

fn mapped<T: Copy>(v: &[T], f: &dyn Fn(T) -> T) -> Vec<T> {
    v.iter().map(|&v| f(v)).collect()
}

/// A function on float32 and float64.
pub(super) fn real(
    call: &Call<'_>,
    single: impl Fn(f32) -> f32 + Copy + Sync,
    double: impl Fn(f64) -> f64,
) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    match x.data() {
        TensorData::F32(v) => {
            let mut out = call.buffers.any(x.len());
            map(Isa::best(), call.threads, v, &mut out, single);
            Ok(Tensor::from_f32(x.shape(), out)?)
        }
        TensorData::F64(v) => Ok(Tensor::from_f64(x.shape(), mapped(v, &double))?),
        _ => Err(call.bad(format!("{} is not a float type", x.dtype()))),
    }
}

pub(super) fn floor(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, |v| v.floor(), |v| v.floor())
}

pub(super) fn ceil(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, |v| v.ceil(), |v| v.ceil())
}

/// Nearest integer, ties to even.
pub(super) fn round(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, |v| v.round_ties_even(), |v| v.round_ties_even())
}

pub(super) fn sqrt(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, |v| v.sqrt(), |v| v.sqrt())
}

pub(super) fn reciprocal(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, |v| 1.0 / v, |v| 1.0 / v)
}

pub(super) fn abs(call: &Call<'_>) -> Result<Tensor, ExecError> {
    number!(call, |v| float v.abs(), signed v.wrapping_abs(), unsigned v)
}

pub(super) fn neg(call: &Call<'_>) -> Result<Tensor, ExecError> {
    number!(call, |v| float -v, signed v.wrapping_neg(), unsigned v.wrapping_neg())
}

pub(super) fn sign(call: &Call<'_>) -> Result<Tensor, ExecError> {
    number!(call, |v| float if v > 0.0 { 1.0 } else if v < 0.0 { -1.0 } else { v }, signed v.signum(), unsigned v.min(1))
}

pub(super) fn relu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    number!(call, |v| float if v < 0.0 { 0.0 } else { v }, signed v.max(0), unsigned v)
}

pub(super) fn exp(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, math::exp, wide::exp)
}

pub(super) fn log(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, math::log, wide::log)
}

pub(super) fn sigmoid(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, math::sigmoid, |v| 1.0 / (1.0 + wide::exp(-v)))
}

pub(super) fn tanh(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, math::tanh, wide::tanh)
}

pub(super) fn erf(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, math::erf, wide::erf)
}

pub(super) fn softplus(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, math::softplus, |v| v.max(0.0) + wide::log1p(wide::exp(-v.abs())))
}

/// Bounds as inputs; an omitted one does not bound. Where the lower bound is above the upper one, the upper one wins.
pub(super) fn clip(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    match x.data() {
        TensorData::F32(_) => {
            let (lo, hi) = bounds::<f32>(call)?;
            let (lo, hi) = (lo.unwrap_or(f32::NEG_INFINITY), hi.unwrap_or(f32::INFINITY));
            real(call, move |v| clipped(v, lo, hi), |v| v)
        }
        _ => each_number!(x,
            v => float clipped_all(call, v),
            int clipped_all(call, v),
            other Err(call.bad("truth values have no order"))),
    }
}

fn bounds<T: Element>(call: &Call<'_>) -> Result<(Option<T>, Option<T>), ExecError> {
    let bound = |i: usize| call.optional(i).map(T::of).transpose().map(|v| v.and_then(|v| v.first().copied()));
    Ok((bound(1)?, bound(2)?))
}

#[inline(always)]
fn clipped<T: PartialOrd>(v: T, lo: T, hi: T) -> T {
    let v = if v < lo { lo } else { v };
    if v > hi { hi } else { v }
}

fn clipped_all<T: Element>(call: &Call<'_>, v: &[T]) -> Result<Tensor, ExecError> {
    let (lo, hi) = bounds::<T>(call)?;
    let one = |&v: &T| {
        let v = lo.filter(|&lo| v < lo).unwrap_or(v);
        hi.filter(|&hi| v > hi).unwrap_or(v)
    };
    Ok(T::tensor(call.input(0)?.shape(), v.iter().map(one).collect())?)
}

//! Functions of one number.

use crate::ExecError;
use crate::call::Call;
use ptq_ir::{Tensor, TensorData};
use ptq_kernels::{Isa, map, math};

/// A float function on float32 or float64.
macro_rules! float {
    ($call:expr, |$v:ident| $f:expr) => {{
        let x = $call.input(0)?;
        match x.data() {
            TensorData::F32(_) => single($call, |$v| $f),
            TensorData::F64(d) => Ok(Tensor::from_f64(x.shape(), d.iter().map(|&$v| $f).collect())?),
            _ => Err($call.bad(format!("{} is not a float type", x.dtype()))),
        }
    }};
}

/// A function on floats and signed integers.
macro_rules! signed {
    ($call:expr, |$v:ident| float $f:expr, int $i:expr) => {{
        let x = $call.input(0)?;
        match x.data() {
            TensorData::I64(d) => Ok(Tensor::from_i64(x.shape(), d.iter().map(|&$v| $i).collect())?),
            TensorData::I32(d) => Ok(Tensor::from_i32(x.shape(), d.iter().map(|&$v| $i).collect())?),
            TensorData::I16(d) => Ok(Tensor::from_i16(x.shape(), d.iter().map(|&$v| $i).collect())?),
            TensorData::I8(d) => Ok(Tensor::from_i8(x.shape(), d.iter().map(|&$v| $i).collect())?),
            _ => float!($call, |$v| $f),
        }
    }};
}

/// A function on float32 only.
fn single(call: &Call<'_>, f: impl Fn(f32) -> f32) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let mut out = call.buffers.empty(x.len());
    map(Isa::best(), x.f32s()?, &mut out, f);
    Ok(Tensor::from_f32(x.shape(), out)?)
}

pub(super) fn floor(call: &Call<'_>) -> Result<Tensor, ExecError> {
    float!(call, |v| v.floor())
}

pub(super) fn ceil(call: &Call<'_>) -> Result<Tensor, ExecError> {
    float!(call, |v| v.ceil())
}

/// Nearest integer, ties to even.
pub(super) fn round(call: &Call<'_>) -> Result<Tensor, ExecError> {
    float!(call, |v| v.round_ties_even())
}

pub(super) fn sqrt(call: &Call<'_>) -> Result<Tensor, ExecError> {
    float!(call, |v| v.sqrt())
}

pub(super) fn reciprocal(call: &Call<'_>) -> Result<Tensor, ExecError> {
    float!(call, |v| 1.0 / v)
}

pub(super) fn abs(call: &Call<'_>) -> Result<Tensor, ExecError> {
    signed!(call, |v| float v.abs(), int v.wrapping_abs())
}

pub(super) fn neg(call: &Call<'_>) -> Result<Tensor, ExecError> {
    signed!(call, |v| float -v, int v.wrapping_neg())
}

pub(super) fn sign(call: &Call<'_>) -> Result<Tensor, ExecError> {
    signed!(call, |v| float if v > 0.0 { 1.0 } else if v < 0.0 { -1.0 } else { v }, int v.signum())
}

pub(super) fn relu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    signed!(call, |v| float if v < 0.0 { 0.0 } else { v }, int v.max(0))
}

pub(super) fn exp(call: &Call<'_>) -> Result<Tensor, ExecError> {
    single(call, math::exp)
}

pub(super) fn log(call: &Call<'_>) -> Result<Tensor, ExecError> {
    single(call, math::log)
}

pub(super) fn sigmoid(call: &Call<'_>) -> Result<Tensor, ExecError> {
    single(call, math::sigmoid)
}

pub(super) fn tanh(call: &Call<'_>) -> Result<Tensor, ExecError> {
    single(call, math::tanh)
}

pub(super) fn erf(call: &Call<'_>) -> Result<Tensor, ExecError> {
    single(call, math::erf)
}

pub(super) fn softplus(call: &Call<'_>) -> Result<Tensor, ExecError> {
    single(call, math::softplus)
}

pub(super) fn leaky_relu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let alpha = call.attrs.float("alpha", 0.01);
    single(call, |v| if v < 0.0 { alpha * v } else { v })
}

pub(super) fn elu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let alpha = call.attrs.float("alpha", 1.0);
    single(call, |v| if v < 0.0 { alpha * (math::exp(v) - 1.0) } else { v })
}

pub(super) fn hard_sigmoid(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (alpha, beta) = (call.attrs.float("alpha", 0.2), call.attrs.float("beta", 0.5));
    single(call, |v| (alpha * v + beta).clamp(0.0, 1.0))
}

/// `x · max(0, min(1, x / 6 + 1/2))`.
pub(super) fn hard_swish(call: &Call<'_>) -> Result<Tensor, ExecError> {
    single(call, |v| v * (v * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0))
}

/// Bounds as inputs; an omitted one does not bound.
pub(super) fn clip(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    macro_rules! bounds {
        ($get:ident, $ty:ty, $min:expr, $max:expr) => {{
            let bound =
                |i: usize| call.optional(i).filter(|t| !t.is_empty()).map(|t| t.$get().map(|v| v[0])).transpose();
            let (lo, hi) = (bound(1)?.unwrap_or($min), bound(2)?.unwrap_or($max));
            move |v: $ty| {
                let v = if v < lo { lo } else { v };
                if v > hi { hi } else { v }
            }
        }};
    }
    macro_rules! bounded {
        ($get:ident, $make:ident, $ty:ty, $min:expr, $max:expr) => {{
            let f = bounds!($get, $ty, $min, $max);
            Ok(Tensor::$make(x.shape(), x.$get()?.iter().map(|&v| f(v)).collect())?)
        }};
    }
    match x.data() {
        TensorData::F32(_) => single(call, bounds!(f32s, f32, f32::NEG_INFINITY, f32::INFINITY)),
        TensorData::F64(_) => bounded!(f64s, from_f64, f64, f64::NEG_INFINITY, f64::INFINITY),
        TensorData::I64(_) => bounded!(i64s, from_i64, i64, i64::MIN, i64::MAX),
        TensorData::I32(_) => bounded!(i32s, from_i32, i32, i32::MIN, i32::MAX),
        TensorData::I8(_) => bounded!(i8s, from_i8, i8, i8::MIN, i8::MAX),
        TensorData::U8(_) => bounded!(u8s, from_u8, u8, u8::MIN, u8::MAX),
        _ => Err(call.bad(format!("{} is not a type of Clip", x.dtype()))),
    }
}

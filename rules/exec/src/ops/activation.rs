//! Activation functions with parameters: Elu and its relatives, LeakyRelu, hard forms, Shrink, ThresholdedRelu.

use super::unary::real;
use crate::ExecError;
use crate::call::Call;
use crate::elements::each_number;
use ptq_ir::Tensor;
use ptq_kernels::math::{self, wide};

pub(super) fn leaky_relu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let alpha = call.attrs.float("alpha", 0.01);
    real(call, move |v| if v < 0.0 { alpha * v } else { v }, |v| if v < 0.0 { f64::from(alpha) * v } else { v })
}

pub(super) fn elu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let alpha = call.attrs.float("alpha", 1.0);
    let wide_alpha = f64::from(alpha);
    real(
        call,
        |v| if v < 0.0 { alpha * (math::exp(v) - 1.0) } else { v },
        |v| if v < 0.0 { wide_alpha * (wide::exp(v) - 1.0) } else { v },
    )
}

/// `max(0, x) + min(0, alpha · (e^(x / alpha) - 1))`.
pub(super) fn celu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let alpha = call.attrs.float("alpha", 1.0);
    let wide_alpha = f64::from(alpha);
    real(
        call,
        |v| v.max(0.0) + (alpha * (math::exp(v / alpha) - 1.0)).min(0.0),
        |v| v.max(0.0) + (wide_alpha * (wide::exp(v / wide_alpha) - 1.0)).min(0.0),
    )
}

/// `gamma · x` above 0, else `gamma · (alpha · e^x - alpha)`.
pub(super) fn selu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let alpha = call.attrs.float("alpha", 1.673_263_2);
    let gamma = call.attrs.float("gamma", 1.050_701);
    let (a, g) = (f64::from(alpha), f64::from(gamma));
    real(
        call,
        |v| if v > 0.0 { gamma * v } else { gamma * (alpha * math::exp(v) - alpha) },
        |v| if v > 0.0 { g * v } else { g * (a * wide::exp(v) - a) },
    )
}

pub(super) fn hard_sigmoid(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (alpha, beta) = (call.attrs.float("alpha", 0.2), call.attrs.float("beta", 0.5));
    let (a, b) = (f64::from(alpha), f64::from(beta));
    real(call, move |v| (alpha * v + beta).clamp(0.0, 1.0), |v| (a * v + b).clamp(0.0, 1.0))
}

/// `x · max(0, min(1, x / 6 + 1/2))`.
pub(super) fn hard_swish(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, |v| v * (v * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0), |v| v * (v / 6.0 + 0.5).clamp(0.0, 1.0))
}

/// `x / (1 + |x|)`.
pub(super) fn softsign(call: &Call<'_>) -> Result<Tensor, ExecError> {
    real(call, |v| v / (1.0 + v.abs()), |v| v / (1.0 + v.abs()))
}

/// `x` above `alpha`, else 0.
pub(super) fn thresholded_relu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let alpha = call.attrs.float("alpha", 1.0);
    real(call, |v| if v > alpha { v } else { 0.0 }, |v| if v > f64::from(alpha) { v } else { 0.0 })
}

/// `x + bias` below `-lambd`, `x - bias` above `lambd`, else 0. Integers are rounded toward zero.
pub(super) fn shrink(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (bias, limit) = (call.attrs.float("bias", 0.0), call.attrs.float("lambd", 0.5));
    let single = move |v: f32| match v {
        v if v < -limit => v + bias,
        v if v > limit => v - bias,
        _ => 0.0,
    };
    let (b, l) = (f64::from(bias), f64::from(limit));
    let double = move |v: f64| match v {
        v if v < -l => v + b,
        v if v > l => v - b,
        _ => 0.0,
    };
    let x = call.input(0)?;
    each_number!(x,
        _v => float real(call, single, double),
        int {
            let wide = Tensor::from_f64(x.shape(), x.to_f64s().into_iter().map(double).collect())?;
            super::cast::convert(&wide, x.dtype())
        },
        other Err(call.bad("truth values are not numbers")))
}

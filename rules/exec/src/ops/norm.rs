//! BatchNormalization (inference), InstanceNormalization, LayerNormalization.

use crate::ExecError;
use crate::broadcast::{common_shape, steps_within};
use crate::call::Call;
use crate::loops::strided;
use ptq_ir::Tensor;
use ptq_kernels::{mean, sum};

/// `(x - mean) · (scale / sqrt(var + epsilon)) + bias`, per channel (axis 1).
pub(super) fn batch(call: &Call<'_>) -> Result<Tensor, ExecError> {
    if call.attrs.int("training_mode", 0) != 0 {
        return Err(call.bad("training mode is not supported"));
    }
    let x = call.input(0)?;
    let channels = *x.shape().get(1).ok_or_else(|| call.bad("input has no channel axis"))?;
    let parameter = |i: usize| {
        let p = call.input(i)?.f32s()?;
        if p.len() == channels {
            Ok(p)
        } else {
            Err(call.bad(format!("input {i} has {} entries for {channels} channels", p.len())))
        }
    };
    let (scale, bias, mu, var) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = call.attrs.float("epsilon", 1e-5);
    let inner: usize = x.shape()[2..].iter().product();
    let mut out = call.buffers.empty(x.len());
    for (i, plane) in x.f32s()?.chunks_exact(inner.max(1)).enumerate() {
        let c = i % channels;
        let factor = scale[c] / (var[c] + epsilon).sqrt();
        out.extend(plane.iter().map(|&v| (v - mu[c]) * factor + bias[c]));
    }
    Ok(Tensor::from_f32(x.shape(), out)?)
}

pub(super) fn instance(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let (scale, bias) = (call.input(1)?.f32s()?, call.input(2)?.f32s()?);
    let channels = *x.shape().get(1).ok_or_else(|| call.bad("input has no channel axis"))?;
    if scale.len() != channels || bias.len() != channels {
        return Err(call.bad(format!("scale and bias do not have {channels} entries")));
    }
    let inner: usize = x.shape()[2..].iter().product();
    let epsilon = call.attrs.float("epsilon", 1e-5);
    let mut out = Vec::with_capacity(x.len());
    for (i, plane) in x.f32s()?.chunks_exact(inner.max(1)).enumerate() {
        let (centred, factor) = standardized(plane, epsilon);
        let c = i % channels;
        out.extend(centred.iter().map(|&v| v * factor * scale[c] + bias[c]));
    }
    Ok(Tensor::from_f32(x.shape(), out)?)
}

/// LayerNormalization over the axes from `axis` on; then the mean and the inverse deviation of each row.
pub(super) fn layer(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    let x = call.input(0)?;
    let axis = call.axis(call.attrs.int("axis", -1), x.shape().len())?;
    let row: usize = x.shape()[axis..].iter().product();
    let scale = repeated(call, call.input(1)?, row)?;
    let bias = call.optional(2).map(|b| repeated(call, b, row)).transpose()?;
    let epsilon = call.attrs.float("epsilon", 1e-5);
    let mut out = Vec::with_capacity(x.len());
    let (mut means, mut factors) = (Vec::new(), Vec::new());
    for (i, line) in x.f32s()?.chunks_exact(row.max(1)).enumerate() {
        let (centred, factor) = standardized(line, epsilon);
        let from = |p: &Vec<f32>| i * row % p.len().max(1);
        let scaled = centred.iter().zip(&scale[from(&scale)..]).map(|(&v, &s)| v * factor * s);
        match &bias {
            Some(bias) => out.extend(scaled.zip(&bias[from(bias)..]).map(|(v, &b)| v + b)),
            None => out.extend(scaled),
        }
        means.push(mean(line));
        factors.push(factor);
    }
    let mut rows = x.shape().to_vec();
    rows[axis..].fill(1);
    let y = Tensor::from_f32(x.shape(), out)?;
    if call.outputs < 2 {
        return Ok(vec![y]);
    }
    Ok(vec![y, Tensor::from_f32(rows.clone(), means)?, Tensor::from_f32(rows, factors)?])
}

/// A parameter for one row, or, where it broadcasts in another way, for all of the input.
fn repeated(call: &Call<'_>, p: &Tensor, row: usize) -> Result<Vec<f32>, ExecError> {
    let x = call.input(0)?.shape();
    if p.len() == row && x.ends_with(p.shape()) {
        return Ok(p.f32s()?.to_vec());
    }
    if common_shape(call, &[x, p.shape()])? != x {
        return Err(call.bad(format!("parameter {:?} does not broadcast to {x:?}", p.shape())));
    }
    Ok(strided(p.f32s()?, x, 0, &steps_within(p.shape(), x)))
}

/// `x - mean` and `1 / sqrt(variance + epsilon)`.
fn standardized(x: &[f32], epsilon: f32) -> (Vec<f32>, f32) {
    let mu = mean(x);
    let centred: Vec<f32> = x.iter().map(|v| v - mu).collect();
    let squares: Vec<f32> = centred.iter().map(|v| v * v).collect();
    (centred, 1.0 / (sum(&squares) / x.len() as f32 + epsilon).sqrt())
}

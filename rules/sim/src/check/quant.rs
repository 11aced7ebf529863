//! Quantization parameters, requantization constants, borders.

use super::{activation, same_shape};
use ptq_ir::{DType, QTensor, QuantParams, Requant};
use ptq_kernels::requant::MAX_SHIFT;

pub(crate) fn check_params(params: &QuantParams, tensor: &QTensor) -> Result<(), String> {
    if params.dtype != tensor.dtype {
        return Err(format!("has parameters for {} but is {}", params.dtype, tensor.dtype));
    }
    let count = match params.axis {
        None => 1,
        Some(axis) => *tensor.shape.get(axis).ok_or_else(|| format!("axis {axis} is outside {:?}", tensor.shape))?,
    };
    if params.scale.len() != count || params.zero_point.len() != count {
        return Err(format!("needs {count} scales and zero points"));
    }
    if !params.scale.iter().all(|s| s.is_finite() && *s > 0.0) {
        return Err("a scale is not a positive number".into());
    }
    match params.dtype {
        DType::I32 => Ok(()),
        dtype => {
            let (lo, hi) = dtype.quant_range().ok_or_else(|| format!("{dtype} carries no scale"))?;
            let inside = params.zero_point.iter().all(|z| (lo..=hi).contains(z));
            if dtype == DType::I16 && params.zero_point.iter().any(|&z| z != 0) {
                return Err("int16 with a zero point".into());
            }
            if inside { Ok(()) } else { Err("a zero point is outside its type".into()) }
        }
    }
}

/// Counts and ranges of requantization constants.
pub(super) fn check_requant(requant: &Requant, allowed: &[usize]) -> Result<(), String> {
    let count = match requant {
        Requant::Float(m) => {
            if !m.iter().all(|m| m.is_finite()) {
                return Err("a multiplier is not a number".into());
            }
            m.len()
        }
        Requant::Fixed(m) => {
            if m.iter().any(|&(_, shift)| shift > MAX_SHIFT) {
                return Err(format!("a shift is above {MAX_SHIFT}"));
            }
            m.len()
        }
    };
    if allowed.contains(&count) { Ok(()) } else { Err(format!("has {count} multipliers, expected one of {allowed:?}")) }
}

/// Zero point and clamp of a result.
pub(super) fn check_result(output: &QTensor, zero: i32, lo: i32, hi: i32) -> Result<(), String> {
    let (min, max) = activation(output)?;
    if output.dtype == DType::I16 && zero != 0 {
        return Err(format!("zero point {zero} of a 16-bit result"));
    }
    if !(min..=max).contains(&zero) || lo < min || hi > max || lo > hi {
        return Err(format!("zero point {zero} or clamp {lo}..{hi} is outside {}", output.dtype));
    }
    Ok(())
}

pub(super) fn check_quantize(x: &QTensor, y: &QTensor) -> Result<(), String> {
    same_shape(x, y)?;
    if x.dtype != DType::F32 || y.quant.is_none() || y.dtype.quant_range().is_none() {
        return Err(format!("quantizes {} to {}", x.dtype, y.dtype));
    }
    Ok(())
}

pub(super) fn check_dequantize(x: &QTensor, y: &QTensor) -> Result<(), String> {
    same_shape(x, y)?;
    if y.dtype != DType::F32 || x.quant.is_none() {
        return Err(format!("dequantizes {} to {}", x.dtype, y.dtype));
    }
    Ok(())
}

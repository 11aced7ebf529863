//! What every lowering asks for: integer inputs, the result's parameters, the absorbed activation.

use crate::builder::Builder;
use ptq_ir::{
    ActScheme, Activation, DType, Diagnostic, NodeId, QuantParams, Tensor, TensorError, TensorId, ValueId, ops,
};
use ptq_kernels::requant::quantize;
use ptq_march::March;

/// The integer tensor of input `i`, quantized at a border where needed; constants become integer constants with a
/// range of their own.
pub(super) fn input(b: &mut Builder<'_>, id: NodeId, i: usize) -> Result<TensorId, Diagnostic> {
    let node = b.graph.node(id);
    let level = b.level(id);
    let v =
        node.input(i).ok_or_else(|| Diagnostic::error("PART05", format!("input {i} is missing")).node(&node.name))?;
    match b.graph.constant(v) {
        Some(data) => {
            let values = data.f32s().map_err(|e| Diagnostic::error("PART06", e.to_string()).node(&node.name))?.to_vec();
            let (data, params) = quantize_constant(b.march, b.has_words(id), data.shape(), &values)
                .map_err(|e| Diagnostic::error("PART06", e.to_string()).node(&node.name))?;
            Ok(b.constant(v, "_quantized", data, params))
        }
        None => b.read(id, v, level),
    }
}

/// Constant operand `i` with the parameters of tensor `like` where all its values are within that one's reach, else with a range of
/// its own.
pub(super) fn constant_like(b: &mut Builder<'_>, id: NodeId, i: usize, like: TensorId) -> Result<TensorId, Diagnostic> {
    let node = b.graph.node(id);
    let params = b.tensor_params(like);
    let (Some(v), Some((lo, hi)), None) = (node.input(i), params.dtype.quant_range(), params.axis) else {
        return input(b, id, i);
    };
    let Some(data) = b.graph.constant(v) else { return input(b, id, i) };
    let bad = |e: TensorError| Diagnostic::error("PART06", e.to_string()).node(&node.name);
    let (scale, zero) = (params.scale0(), params.zero_point0());
    let real = |q: i32| (f64::from(q) - f64::from(zero)) * f64::from(scale);
    let values = data.f32s().map_err(bad)?;
    if !values.iter().all(|&x| (real(lo)..=real(hi)).contains(&f64::from(x))) {
        return input(b, id, i);
    }
    let q = values.iter().map(|&x| quantize(x, scale, zero, lo, hi));
    let data = match params.dtype {
        DType::I16 => Tensor::from_i16(data.shape(), q.map(|q| q as i16).collect()),
        DType::U8 => Tensor::from_u8(data.shape(), q.map(|q| q as u8).collect()),
        _ => Tensor::from_i8(data.shape(), q.map(|q| q as i8).collect()),
    };
    Ok(b.constant(v, "_quantized", data.map_err(bad)?, params))
}

/// The result value of a node and its parameters.
pub(super) fn output(b: &mut Builder<'_>, id: NodeId) -> Result<(ValueId, QuantParams), Diagnostic> {
    let v = b.result(id)?;
    let params = b.params(v)?;
    Ok((v, params))
}

/// The activation that a node absorbs.
pub(super) fn activation(b: &Builder<'_>, id: NodeId) -> Activation {
    b.absorbed(id).and_then(|a| ops::activation_of(b.graph, b.graph.node(a))).unwrap_or(Activation::None)
}

/// A constant operand as integers in the march's activation scheme, or with 16 bits like its node's other tensors, over its own
/// range (which always contains 0).
fn quantize_constant(
    march: &March,
    words: bool,
    shape: &[usize],
    values: &[f32],
) -> Result<(Tensor, QuantParams), TensorError> {
    let lo = values.iter().copied().fold(0.0f32, f32::min);
    let hi = values.iter().copied().fold(0.0f32, f32::max);
    let positive = |s: f32| if s > 0.0 && s.is_finite() { s } else { 1.0 };
    let scheme = if words { ActScheme::SymmetricInt16 } else { march.quantization.activations };
    match scheme {
        ActScheme::SymmetricInt16 => {
            let scale = positive(hi.max(-lo) / 32_767.0);
            let q = values.iter().map(|&v| quantize(v, scale, 0, -32_767, 32_767) as i16).collect();
            Ok((Tensor::from_i16(shape, q)?, QuantParams::per_tensor(DType::I16, scale, 0)))
        }
        ActScheme::SymmetricInt8 | ActScheme::AffineInt8 => {
            let scale = positive(hi.max(-lo) / 127.0);
            let q = values.iter().map(|&v| quantize(v, scale, 0, -127, 127) as i8).collect();
            Ok((Tensor::from_i8(shape, q)?, QuantParams::per_tensor(DType::I8, scale, 0)))
        }
        ActScheme::AffineUint8 => {
            let scale = positive((hi - lo) / 255.0);
            let zero = (-lo / scale).round_ties_even().clamp(0.0, 255.0) as i32;
            let q = values.iter().map(|&v| quantize(v, scale, zero, 0, 255) as u8).collect();
            Ok((Tensor::from_u8(shape, q)?, QuantParams::per_tensor(DType::U8, scale, zero)))
        }
    }
}

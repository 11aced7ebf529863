//! Quantize and Dequantize.

use super::operand::{Operand, bad, range, tensor};
use crate::ExecError;
use ptq_ir::{QTensor, QuantParams, Tensor};
use ptq_kernels::requant;

pub(super) fn quantize(x: &Operand<'_>, out: &QTensor) -> Result<Tensor, ExecError> {
    let params = out.quant.as_ref().ok_or_else(|| bad(out, "has no quantization parameters".into()))?;
    let (lo, hi) = range(out)?;
    let entry = entries(params, x.data.shape(), out)?;
    let values = x.data.f32s()?.iter().enumerate().map(|(i, &v)| {
        let e = entry(i);
        requant::quantize(v, params.scale[e], params.zero_point[e], lo, hi)
    });
    tensor(out, x.data.shape(), values.collect())
}

pub(super) fn dequantize(x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let params = x.info.quant.as_ref().ok_or_else(|| bad(x.info, "has no quantization parameters".into()))?;
    let entry = entries(params, x.data.shape(), x.info)?;
    let values = x.ints()?.into_iter().enumerate().map(|(i, q)| {
        let e = entry(i);
        requant::dequantize(q, params.scale[e], params.zero_point[e])
    });
    Ok(Tensor::from_f32(x.data.shape(), values.collect())?)
}

/// Which entry of the parameters serves element `i`.
fn entries(params: &QuantParams, shape: &[usize], of: &QTensor) -> Result<impl Fn(usize) -> usize, ExecError> {
    let (extent, inner) = match params.axis {
        None => (1, 1),
        Some(a) if a < shape.len() => (shape[a], shape[a + 1..].iter().product()),
        Some(a) => return Err(bad(of, format!("axis {a} is outside rank {}", shape.len()))),
    };
    if params.scale.len() != extent || params.zero_point.len() != extent {
        return Err(bad(of, format!("{} scales for extent {extent}", params.scale.len())));
    }
    Ok(move |i: usize| i / inner % extent)
}

//! Borders between float and integers: ONNX QuantizeLinear and DequantizeLinear.

use ptq_ir::{DType, QuantParams, Tensor, TensorError};
use ptq_kernels::requant::{dequantize as to_real, quantize as to_integer};

/// float32 → integer.
pub(crate) fn quantize(x: &Tensor, params: &QuantParams) -> Result<Tensor, TensorError> {
    let values = x.f32s()?;
    let range = params.dtype.quant_range();
    let (lo, hi) = range.ok_or(TensorError::Type { expected: DType::I8, found: params.dtype })?;
    let per = PerChannel::new(x.shape(), params);
    let quantized = |i: usize| {
        let (scale, zero) = per.at(i);
        to_integer(values[i], scale, zero, lo, hi)
    };
    let indices = 0..values.len();
    match params.dtype {
        DType::I8 => Tensor::from_i8(x.shape(), indices.map(|i| quantized(i) as i8).collect()),
        DType::U8 => Tensor::from_u8(x.shape(), indices.map(|i| quantized(i) as u8).collect()),
        _ => Tensor::from_i16(x.shape(), indices.map(|i| quantized(i) as i16).collect()),
    }
}

/// Integer → float32.
pub(crate) fn dequantize(x: &Tensor, params: &QuantParams) -> Result<Tensor, TensorError> {
    let per = PerChannel::new(x.shape(), params);
    let real = |(i, q): (usize, i32)| {
        let (scale, zero) = per.at(i);
        to_real(q, scale, zero)
    };
    let out: Vec<f32> = match x.dtype() {
        DType::I8 => x.i8s()?.iter().map(|&q| q.into()).enumerate().map(real).collect(),
        DType::U8 => x.u8s()?.iter().map(|&q| q.into()).enumerate().map(real).collect(),
        DType::I16 => x.i16s()?.iter().map(|&q| q.into()).enumerate().map(real).collect(),
        _ => x.i32s()?.iter().copied().enumerate().map(real).collect(),
    };
    Tensor::from_f32(x.shape(), out)
}

/// Finds an element's scale and zero point.
struct PerChannel<'a> {
    params: &'a QuantParams,
    /// Elements behind one index of the axis.
    inner: usize,
}

impl<'a> PerChannel<'a> {
    fn new(shape: &[usize], params: &'a QuantParams) -> PerChannel<'a> {
        let inner = params.axis.map_or(1, |a| shape[a + 1..].iter().product());
        PerChannel { params, inner }
    }

    fn at(&self, element: usize) -> (f32, i32) {
        let p = self.params;
        let i = if p.axis.is_some() { element / self.inner.max(1) % p.scale.len() } else { 0 };
        (p.scale[i], p.zero_point[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_scale() {
        let params = QuantParams { dtype: DType::U8, scale: vec![0.5, 2.0], zero_point: vec![10, 0], axis: Some(1) };
        let x = Tensor::from_f32([1, 2, 2], vec![1.0, -6.0, 5.0, 1e9]).expect("count");
        let q = quantize(&x, &params).expect("fits");
        // 5 / 2 = 2.5 goes to the even 2.
        assert_eq!(q.u8s().expect("u8"), [12, 0, 2, 255]);
        let back = dequantize(&q, &params).expect("fits");
        assert_eq!(back.f32s().expect("f32"), [1.0, -5.0, 4.0, 510.0]);
    }
}

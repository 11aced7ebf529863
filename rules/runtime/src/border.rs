//! Borders between float and integers: ONNX QuantizeLinear and DequantizeLinear.

use ptq_ir::{DType, QuantParams, Tensor, TensorError};
use ptq_kernels::requant::{dequantize as to_real, quantize as to_integer};
use ptq_kernels::{Isa, Sign, bytes_of, bytes_of_mut, dequantize_bytes, quantize_bytes};
use std::ops::Range;

/// float32 → integer.
pub(crate) fn quantize(x: &Tensor, params: &QuantParams, threads: usize) -> Result<Tensor, TensorError> {
    let values = x.f32s()?;
    let range = params.dtype.quant_range();
    let (lo, hi) = range.ok_or(TensorError::Type { expected: DType::I8, found: params.dtype })?;
    let runs = runs(x.shape(), params);
    let bytes = |sign: Sign, out: &mut [u8]| {
        let at = |(range, scale, zero): Run| {
            quantize_bytes(Isa::best(), threads, &values[range.clone()], scale, zero, sign, &mut out[range]);
        };
        runs.clone().for_each(at);
    };
    match params.dtype {
        DType::I8 => {
            let mut out = vec![0i8; values.len()];
            bytes(Sign::Signed, bytes_of_mut(&mut out));
            Tensor::from_i8(x.shape(), out)
        }
        DType::U8 => {
            let mut out = vec![0u8; values.len()];
            bytes(Sign::Unsigned, &mut out);
            Tensor::from_u8(x.shape(), out)
        }
        _ => {
            let word = |(range, scale, zero): Run| {
                values[range].iter().map(move |&x| to_integer(x, scale, zero, lo, hi) as i16)
            };
            Tensor::from_i16(x.shape(), runs.flat_map(word).collect())
        }
    }
}

/// Integer → float32.
pub(crate) fn dequantize(x: &Tensor, params: &QuantParams, threads: usize) -> Result<Tensor, TensorError> {
    let runs = runs(x.shape(), params);
    let real = |value: &dyn Fn(usize) -> i32| {
        let run = |(range, scale, zero): Run| range.map(move |i| to_real(value(i), scale, zero));
        runs.clone().flat_map(run).collect::<Vec<f32>>()
    };
    let bytes = |x: &[u8], sign: Sign| {
        let mut out = vec![0.0; x.len()];
        runs.clone().for_each(|(range, scale, zero)| {
            dequantize_bytes(Isa::best(), threads, &x[range.clone()], sign, scale, zero, &mut out[range]);
        });
        out
    };
    let out = match x.dtype() {
        DType::I8 => bytes(bytes_of(x.i8s()?), Sign::Signed),
        DType::U8 => bytes(x.u8s()?, Sign::Unsigned),
        DType::I16 => x.i16s().map(|x| real(&|i| x[i].into()))?,
        _ => x.i32s().map(|x| real(&|i| x[i]))?,
    };
    Tensor::from_f32(x.shape(), out)
}

/// Elements with one scale and zero point.
type Run = (Range<usize>, f32, i32);

/// The elements of a tensor of this shape, in order.
fn runs(shape: &[usize], params: &QuantParams) -> impl Iterator<Item = Run> + Clone {
    let all: usize = shape.iter().product();
    // Elements behind one index of the axis.
    let len = params.axis.map_or(all, |a| shape[a + 1..].iter().product()).max(1);
    let entry = move |i: usize| if params.axis.is_some() { i % params.scale.len() } else { 0 };
    (0..all.div_ceil(len)).map(move |i| (i * len..(i + 1) * len, params.scale[entry(i)], params.zero_point[entry(i)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_own_scale() {
        let params = QuantParams { dtype: DType::U8, scale: vec![0.5, 2.0], zero_point: vec![10, 0], axis: Some(1) };
        let x = Tensor::from_f32([1, 2, 2], vec![1.0, -6.0, 5.0, 1e9]).expect("count");
        let q = quantize(&x, &params, 1).expect("fits");
        // 5 / 2 = 2.5 goes to the even 2.
        assert_eq!(q.u8s().expect("u8"), [12, 0, 2, 255]);
        let back = dequantize(&q, &params, 1).expect("fits");
        assert_eq!(back.f32s().expect("f32"), [1.0, -5.0, 4.0, 510.0]);
    }
}

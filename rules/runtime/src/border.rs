//! Borders between float and integers: ONNX QuantizeLinear and DequantizeLinear.

use ptq_ir::{DType, QuantParams, Tensor, TensorError};
use ptq_kernels::requant::quantize as to_integer;
use ptq_kernels::{Isa, Sign, bytes_of, bytes_of_mut, dequantize_bytes, dequantize_rows, quantize_bytes};
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
        DType::I16 => rows(x.i16s()?, x.shape(), params, threads),
        _ => rows(x.i32s()?, x.shape(), params, threads),
    };
    Tensor::from_f32(x.shape(), out)
}

fn rows<T: Copy + Into<i32> + Sync>(x: &[T], shape: &[usize], params: &QuantParams, threads: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let scales = (params.scale.as_slice(), params.zero_point.as_slice());
    dequantize_rows(Isa::best(), threads, x, row(shape, params), scales, &mut out);
    out
}

/// Elements behind one index of the axis.
fn row(shape: &[usize], params: &QuantParams) -> usize {
    params.axis.map_or(shape, |a| &shape[a + 1..]).iter().product::<usize>().max(1)
}

/// Elements with one scale and zero point.
type Run = (Range<usize>, f32, i32);

/// The elements of a tensor of this shape, in order.
fn runs(shape: &[usize], params: &QuantParams) -> impl Iterator<Item = Run> + Clone {
    let all: usize = shape.iter().product();
    let len = row(shape, params);
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
        let sums = Tensor::from_i32([1, 2, 2], vec![i32::MIN, 12, -3, 4]).expect("count");
        let back = dequantize(&sums, &params, 1).expect("fits");
        assert_eq!(back.f32s().expect("f32"), [(f64::from(i32::MIN) - 10.0) as f32 * 0.5, 1.0, -6.0, 8.0]);
    }
}

//! Integers back to real numbers, for comparison with the float graph. Called by `measure` and `verify`.

use ptq_ir::{QuantParams, Tensor, numel};

/// `(q - zero_point) * scale` for each element (ONNX DequantizeLinear), in f64; the elements as they are without
/// parameters.
pub(crate) fn real_values(tensor: &Tensor, quant: Option<&QuantParams>) -> Vec<f64> {
    let mut values = tensor.to_f64s();
    let Some(params) = quant else { return values };
    let (inner, channels) = match params.axis {
        Some(axis) if axis < tensor.shape().len() => {
            (numel(&tensor.shape()[axis + 1..]).unwrap_or(1).max(1), tensor.shape()[axis].max(1))
        }
        _ => (values.len().max(1), 1),
    };
    for (row, values) in values.chunks_mut(inner).enumerate() {
        let c = row % channels;
        let scale = params.scale.get(c).copied().unwrap_or_else(|| params.scale0());
        let zero = params.zero_point.get(c).copied().unwrap_or_else(|| params.zero_point0());
        let (scale, zero) = (f64::from(scale), f64::from(zero));
        values.iter_mut().for_each(|v| *v = (*v - zero) * scale);
    }
    values
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ptq_ir::DType;

    #[test]
    fn per_channel_parameters_follow_their_axis() {
        let q = Tensor::from_i32([1, 2, 2], vec![1, 2, 3, 4]).unwrap();
        let p = QuantParams { dtype: DType::I32, scale: vec![1.0, 10.0], zero_point: vec![0, 1], axis: Some(1) };
        assert_eq!(real_values(&q, Some(&p)), [1.0, 2.0, 20.0, 30.0]);
        assert_eq!(real_values(&q, None), [1.0, 2.0, 3.0, 4.0]);
    }
}

//! Ranges that a quantized file states of its float values: what each QuantizeLinear keeps. For calibration type `load`.

use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::scan::{Limits, scan};
use prost::Message as _;
use ptq_ir::{DType, Diagnostic, Tensor};
use std::collections::BTreeMap;

/// For each float value that a QuantizeLinear with constant scale and zero point reads, the real numbers at the ends of the integers'
/// range, by the value's name. int8 without a zero point is taken as `-127..127`, as symmetric quantization uses it. Several scales for one
/// value (one a channel) are left out.
///
/// # Errors
/// `ONNX01` when the bytes are no ONNX model.
pub fn quantized_ranges(bytes: &[u8]) -> Result<BTreeMap<String, (f32, f32)>, Diagnostic> {
    scan(bytes, &Limits::default())?;
    let model = ModelProto::decode(bytes).map_err(|e| Diagnostic::error("ONNX01", e.to_string()))?;
    let graph = model.graph.unwrap_or_default();
    let constants = constants(&graph);
    let of = |node: &NodeProto| {
        let constant = |i: usize| crate::import::plain_tensor(constants.get(node.input.get(i)?.as_str())?);
        let (scale, zero) = (constant(1)?, node.input.get(2).filter(|n| !n.is_empty()).map(|_| constant(2)));
        let range = range(&scale, zero.map_or(Some(None), |z| z.map(Some))?.as_ref())?;
        Some((node.input.first()?.clone(), range))
    };
    Ok(graph.node.iter().filter(|n| n.op_type.as_deref() == Some("QuantizeLinear")).filter_map(of).collect())
}

/// Initializers and values of Constant nodes.
fn constants(graph: &GraphProto) -> BTreeMap<&str, &TensorProto> {
    let named = graph.initializer.iter().filter_map(|t| Some((t.name.as_deref()?, t)));
    let nodes = graph.node.iter().filter(|n| n.op_type.as_deref() == Some("Constant")).filter_map(|n| {
        let value = n.attribute.iter().find(|a| a.name.as_deref() == Some("value"))?.t.as_ref()?;
        Some((n.output.first()?.as_str(), value))
    });
    named.chain(nodes).collect()
}

fn range(scale: &Tensor, zero: Option<&Tensor>) -> Option<(f32, f32)> {
    let &[scale] = scale.to_f64s().as_slice() else { return None };
    let dtype = zero.map_or(DType::U8, Tensor::dtype);
    let zero = match zero.map(Tensor::to_f64s).as_deref() {
        None => 0.0,
        Some(&[zero]) => zero,
        Some(_) => return None,
    };
    let (lo, hi) = dtype.quant_range()?;
    let lo = if dtype != DType::U8 && zero == 0.0 { -hi } else { lo };
    let end = |q: i32| ((f64::from(q) - zero) * scale) as f32;
    (scale.is_finite() && scale > 0.0).then(|| (end(lo), end(hi)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ends_of_the_integers_are_the_range() {
        let f = |v: f32| Tensor::scalar_f32(v);
        let u8s = |v: u8| Tensor::from_u8([], vec![v]).unwrap();
        let i8s = |v: i8| Tensor::from_i8([], vec![v]).unwrap();
        assert_eq!(range(&f(0.5), None), Some((0.0, 127.5)));
        assert_eq!(range(&f(0.5), Some(&u8s(100))), Some((-50.0, 77.5)));
        assert_eq!(range(&f(0.5), Some(&i8s(0))), Some((-63.5, 63.5)));
        assert_eq!(range(&f(0.5), Some(&i8s(-128))), Some((0.0, 127.5)));
        let many = Tensor::from_f32([2], vec![0.5, 1.0]).unwrap();
        assert_eq!(range(&many, None), None);
        assert_eq!(range(&f(0.0), None), None);
    }

    #[test]
    fn bytes_that_are_no_model_are_an_error() {
        assert_eq!(quantized_ranges(b"no model").unwrap_err().code, "ONNX01");
        assert!(quantized_ranges(&[]).unwrap().is_empty());
    }
}

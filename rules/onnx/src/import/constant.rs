//! Constant nodes → tensors (all `value` forms of ONNX Constant).

use ptq_ir::{Attr, Attrs, Tensor};

/// The tensor that a Constant node with these attributes makes.
///
/// # Errors
/// When no supported form is given.
pub(crate) fn constant(attrs: &Attrs) -> Result<Tensor, String> {
    let mut values = attrs.0.iter();
    let (Some((name, value)), None) = (values.next(), values.next()) else {
        return Err(format!("Constant has {} attributes, exactly one value is expected", attrs.0.len()));
    };
    match (name.as_str(), value) {
        ("value" | "sparse_value", Attr::Tensor(t)) => Ok(t.clone()),
        ("value_float", Attr::Float(v)) => Ok(Tensor::scalar_f32(*v)),
        ("value_floats", Attr::Floats(v)) => Tensor::from_f32([v.len()], v.clone()).map_err(|e| e.to_string()),
        ("value_int", Attr::Int(v)) => Tensor::from_i64(Vec::new(), vec![*v]).map_err(|e| e.to_string()),
        ("value_ints", Attr::Ints(v)) => Ok(Tensor::vec_i64(v.clone())),
        (other, _) => Err(format!("Constant with {other} is not supported")),
    }
}

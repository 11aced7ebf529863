//! Dropout: does nothing outside training.

use super::parts::Parts;
use super::{Conversion, Converted};
use ptq_ir::{Attr, DType, Tensor, numel};

/// Largest mask in elements.
const MAX_MASK: usize = 1 << 24;

/// Leaves only the data input. A mask that is read is all true.
pub(super) fn dropout(mut c: Conversion<'_>) -> Converted {
    let training = match c.node.input(2) {
        Some(name) => c.env.constant(name).and_then(|t| t.bools().ok()?.first().copied()),
        None => Some(false),
    };
    if training != Some(false) {
        return Err(c.error("training mode is not supported"));
    }
    c.node.keep_inputs(1);
    c.node.attrs.0.remove("ratio");
    c.node.attrs.0.remove("seed");
    if c.node.outputs.len() < 2 {
        return c.done();
    }
    // The mask was of the data's type before 10.
    let (dtype, shape) = c.node.input(0).and_then(|n| c.env.typed(n)).ok_or_else(|| c.error("input 0 is missing"))?;
    let dtype = if c.opset < 10 { dtype } else { DType::Bool };
    let count = numel(&shape).filter(|&n| n <= MAX_MASK).ok_or_else(|| c.error("the mask is too large"))?;
    let mask = Tensor::from_bool(shape, vec![true; count]).map_err(|e| c.error(e.to_string()))?;
    let mut parts = Parts::of(c);
    let (x, mask) = (parts.input(0)?, parts.constant("mask", mask));
    parts.result(1, "Cast", &[&mask], &[("to", Attr::Int(dtype.onnx().into()))]);
    parts.finish("Identity", &[&x], &[])
}

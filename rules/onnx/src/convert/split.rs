//! Split: parts are an input since 13, a count since 18.

use super::{Conversion, Converted};
use ptq_ir::Tensor;

/// Turns `split` or an uneven `num_outputs` into the constant input of parts.
pub(super) fn split(mut c: Conversion<'_>) -> Converted {
    if c.opset < 13 {
        if let Some(parts) = c.take_ints("split") {
            c.constant_input(1, "split", Tensor::vec_i64(parts));
        }
    } else if c.opset >= 18 && c.node.input(1).is_none() {
        let count = c.node.attrs.int("num_outputs", c.node.outputs.len() as i64);
        c.node.attrs.0.remove("num_outputs");
        let shape = c.shape()?;
        let axis = c.axes(&[c.node.attrs.int("axis", 0)], shape.len())?[0];
        let extent = shape[axis] as i64;
        if count < 1 || count > extent.max(1) {
            return Err(c.error(format!("an axis of {extent} does not split into {count} parts")));
        }
        let part = (extent + count - 1) / count;
        let parts = (0..count).map(|i| (extent - i * part).clamp(0, part)).collect();
        c.constant_input(1, "split", Tensor::vec_i64(parts));
    }
    c.done()
}

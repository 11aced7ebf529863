//! Pad: pads and value are inputs since 11, axes an input since 18.

use super::{Conversion, Converted};
use ptq_ir::{Attr, Tensor};

/// Brings pads and value to the inputs, and pads of some axes to pads of all.
pub(super) fn pad(mut c: Conversion<'_>) -> Converted {
    if c.opset < 11 {
        if let Some(pads) = c.take_ints("pads") {
            c.constant_input(1, "pads", Tensor::vec_i64(pads));
        }
        if let Some(Attr::Float(value)) = c.node.attrs.0.remove("value") {
            c.constant_input(2, "value", Tensor::scalar_f32(value));
        }
    } else if c.opset >= 18
        && let Some(axes) = c.ints(3)?
    {
        let rank = c.shape()?.len();
        let axes = c.axes(&axes, rank)?;
        let pads = c.ints(1)?.unwrap_or_default();
        if pads.len() != 2 * axes.len() {
            return Err(c.error(format!("{} pads for {} axes", pads.len(), axes.len())));
        }
        let mut all = vec![0; 2 * rank];
        for (i, &axis) in axes.iter().enumerate() {
            all[axis] = pads[i];
            all[axis + rank] = pads[i + axes.len()];
        }
        c.node.keep_inputs(3);
        c.constant_input(1, "pads", Tensor::vec_i64(all));
    }
    if c.node.attrs.str("mode", "constant") == "wrap" {
        return super::moves::wrap(c);
    }
    c.done()
}

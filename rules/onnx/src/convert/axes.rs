//! Axes of Squeeze, Unsqueeze and reductions: attributes or inputs, by operator set.

use super::{Conversion, Converted};
use ptq_ir::{Attr, Tensor};

/// Squeeze, Unsqueeze, ReduceSum: axes are an input since 13.
pub(super) fn axes_to_input(mut c: Conversion<'_>) -> Converted {
    if c.opset < 13
        && let Some(axes) = c.take_ints("axes")
    {
        c.constant_input(1, "axes", Tensor::vec_i64(axes));
    }
    c.done()
}

/// The other reductions: axes are an input since 18, an attribute in operator set 17.
pub(super) fn reduce(mut c: Conversion<'_>) -> Converted {
    if c.opset < 18 {
        return c.done();
    }
    let axes = c.ints(1)?.unwrap_or_default();
    c.node.keep_inputs(1);
    let keep_all = c.node.attrs.int("noop_with_empty_axes", 0) != 0;
    c.node.attrs.0.remove("noop_with_empty_axes");
    if !axes.is_empty() {
        c.node.attrs.set("axes", Attr::Ints(axes));
    } else if keep_all {
        // Without axes these still apply their function to each element; only for the plain ones is that nothing.
        if !matches!(c.node.op.as_str(), "ReduceMax" | "ReduceMean" | "ReduceMin" | "ReduceProd") {
            return Err(c.error("noop_with_empty_axes without axes is not supported"));
        }
        c.node.op = "Identity".to_owned();
        c.node.attrs.0.clear();
    }
    c.done()
}

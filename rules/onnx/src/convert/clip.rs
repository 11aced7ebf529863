//! Clip: bounds are inputs since 11.

use super::{Conversion, Converted};
use ptq_ir::{Attr, Tensor};

/// Turns `min` and `max` into constant inputs; a bound at the end of float32 bounds nothing and is left out.
pub(super) fn clip(mut c: Conversion<'_>) -> Converted {
    if c.opset < 11 {
        for (i, name) in [(1, "min"), (2, "max")] {
            if let Some(Attr::Float(bound)) = c.node.attrs.0.remove(name)
                && bound.is_finite()
                && bound.abs() != f32::MAX
            {
                c.constant_input(i, name, Tensor::scalar_f32(bound));
            }
        }
    }
    c.done()
}

//! Slice: ranges are inputs since 10.

use super::{Conversion, Converted};
use ptq_ir::Tensor;

/// Turns `starts`, `ends`, `axes` into constant inputs.
pub(super) fn slice(mut c: Conversion<'_>) -> Converted {
    if c.opset < 10 {
        for (i, name) in [(1, "starts"), (2, "ends"), (3, "axes")] {
            if let Some(values) = c.take_ints(name) {
                c.constant_input(i, name, Tensor::vec_i64(values));
            }
        }
    }
    c.done()
}

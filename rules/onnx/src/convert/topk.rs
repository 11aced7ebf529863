//! TopK: k is an input since 10.

use super::{Conversion, Converted};
use ptq_ir::{Attr, Tensor};

/// Turns `k` into a constant input.
pub(super) fn top_k(mut c: Conversion<'_>) -> Converted {
    if c.opset < 10
        && let Some(Attr::Int(k)) = c.node.attrs.0.remove("k")
    {
        c.constant_input(1, "k", Tensor::vec_i64(vec![k]));
    }
    c.done()
}

//! BatchNormalization before 9.

use super::{Conversion, Converted};

/// Removes `spatial = 1`; per-pixel statistics (`spatial = 0`) are refused.
pub(super) fn batch(mut c: Conversion<'_>) -> Converted {
    if c.opset < 9 {
        if c.node.attrs.int("spatial", 1) == 0 {
            return Err(c.error("statistics for each pixel (spatial = 0) are not supported"));
        }
        c.node.attrs.0.remove("spatial");
    }
    c.done()
}

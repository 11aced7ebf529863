//! Options that newer operator sets added: their default is operator set 17's meaning, anything else is refused.

use super::{Conversion, Converted};
use ptq_ir::Attr;

/// Cast: `saturate` since 19 and `round_mode` since 24 concern types that no graph holds.
pub(super) fn cast(mut c: Conversion<'_>) -> Converted {
    c.node.attrs.0.remove("saturate");
    c.node.attrs.0.remove("round_mode");
    c.done()
}

/// Range: `stash_type` since 27 concerns 16-bit floats only.
pub(super) fn range(mut c: Conversion<'_>) -> Converted {
    c.node.attrs.0.remove("stash_type");
    c.done()
}

/// RoiAlign before 16 does not shift by half a pixel.
pub(super) fn roi_align(mut c: Conversion<'_>) -> Converted {
    if c.opset < 16 {
        c.node.attrs.set("coordinate_transformation_mode", Attr::Str("output_half_pixel".to_owned()));
    }
    c.done()
}

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

/// SpaceToDepth: `mode` since 28.
pub(super) fn space_to_depth(mut c: Conversion<'_>) -> Converted {
    match c.node.attrs.0.remove("mode") {
        Some(Attr::Str(mode)) if mode != "DCR" => Err(c.error(format!("mode {mode} is not supported"))),
        _ => c.done(),
    }
}

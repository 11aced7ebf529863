//! Dropout: does nothing outside training.

use super::{Conversion, Converted};

/// Leaves only the data input.
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
    c.done()
}

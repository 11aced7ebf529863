//! Transpose.

use super::{InferCtx, Inferred};

/// Permutes axes; without `perm` it reverses them.
pub(super) fn transpose(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let perm = match ctx.node().attrs.ints("perm") {
        Some(perm) => ctx.axes(perm, x.len())?,
        None => (0..x.len()).rev().collect(),
    };
    if perm.len() != x.len() {
        return Err(ctx.error(format!("perm {perm:?} does not fit rank {}", x.len())));
    }
    Ok(vec![(ctx.dtype(0)?, perm.iter().map(|&d| x[d]).collect())])
}

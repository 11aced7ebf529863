//! Expand and Tile.

use super::{InferCtx, Inferred};
use ptq_ir::broadcast_shapes;

/// Expand: broadcasts the input and a constant shape to each other.
pub(super) fn expand(ctx: &InferCtx<'_>) -> Inferred {
    let target: Vec<usize> = ctx.required_ints(1)?.iter().map(|&v| ctx.extent(v)).collect::<Result<_, _>>()?;
    let x = ctx.shape(0)?;
    let out =
        broadcast_shapes(x, &target).ok_or_else(|| ctx.error(format!("input {x:?} does not expand to {target:?}")))?;
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// Tile: repeats each axis.
pub(super) fn tile(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let repeats = ctx.required_ints(1)?;
    if repeats.len() != x.len() {
        return Err(ctx.error(format!("{} repeats for rank {}", repeats.len(), x.len())));
    }
    let out = x
        .iter()
        .zip(&repeats)
        .map(|(&n, &r)| n.checked_mul(ctx.extent(r)?).ok_or_else(|| ctx.error("the result is too large")))
        .collect::<Result<_, _>>()?;
    Ok(vec![(ctx.dtype(0)?, out)])
}

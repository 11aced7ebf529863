//! Squeeze and Unsqueeze.

use super::{InferCtx, Inferred};

/// Squeeze: removes the given axes of extent 1, or all of them.
pub(super) fn squeeze(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let axes = match ctx.ints(1)? {
        Some(axes) => ctx.axes(&axes, x.len())?,
        None => (0..x.len()).filter(|&d| x[d] == 1).collect(),
    };
    if let Some(&d) = axes.iter().find(|&&d| x[d] != 1) {
        return Err(ctx.error(format!("axis {d} of {x:?} is not 1")));
    }
    let out = (0..x.len()).filter(|d| !axes.contains(d)).map(|d| x[d]).collect();
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// Unsqueeze: inserts axes of extent 1 at these places of the result.
pub(super) fn unsqueeze(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let raw = ctx.required_ints(1)?;
    let rank = x.len() + raw.len();
    let axes = ctx.axes(&raw, rank)?;
    let mut rest = x.iter();
    let out = (0..rank).map(|d| if axes.contains(&d) { 1 } else { rest.next().copied().unwrap_or(1) }).collect();
    Ok(vec![(ctx.dtype(0)?, out)])
}

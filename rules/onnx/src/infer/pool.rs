//! AveragePool, MaxPool and the global pools.

use super::window::{list, window};
use super::{InferCtx, Inferred};

/// AveragePool and MaxPool of any spatial rank.
pub(super) fn pool(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    if x.len() < 3 {
        return Err(ctx.error(format!("input {x:?} must have rank 3 or more")));
    }
    let kernel = list(ctx, "kernel_shape", x.len() - 2, 0)?;
    let win = window(ctx, &x[2..], &kernel)?;
    let ceil = ctx.node().attrs.int("ceil_mode", 0) != 0;
    let mut out = x[..2].to_vec();
    for d in 0..kernel.len() {
        out.push(win.extent(ctx, d, x[2 + d], kernel[d], ceil)?);
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// GlobalAveragePool and GlobalMaxPool: every spatial extent becomes 1.
pub(super) fn global(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    if x.len() < 3 {
        return Err(ctx.error(format!("input {x:?} must have rank 3 or more")));
    }
    let mut out = vec![1; x.len()];
    out[..2].copy_from_slice(&x[..2]);
    Ok(vec![(ctx.dtype(0)?, out)])
}

//! Reductions.

use super::{InferCtx, Inferred};
use ptq_ir::DType;

/// Reductions whose axes are an attribute (all but ReduceSum in operator set 17).
pub(super) fn by_attribute(ctx: &InferCtx<'_>) -> Inferred {
    let axes = ctx.node().attrs.ints("axes").map(<[i64]>::to_vec).unwrap_or_default();
    reduce(ctx, &axes)
}

/// ReduceSum, whose axes are an input.
pub(super) fn sum(ctx: &InferCtx<'_>) -> Inferred {
    let axes = ctx.ints(1)?.unwrap_or_default();
    if axes.is_empty() && ctx.node().attrs.int("noop_with_empty_axes", 0) != 0 {
        return ctx.like_first();
    }
    reduce(ctx, &axes)
}

fn reduce(ctx: &InferCtx<'_>, axes: &[i64]) -> Inferred {
    let x = ctx.shape(0)?;
    if ctx.dtype(0)? == DType::Bool {
        return Err(ctx.error("input must be numbers, is bool"));
    }
    let axes = if axes.is_empty() { (0..x.len()).collect() } else { ctx.axes(axes, x.len())? };
    let keep = ctx.node().attrs.int("keepdims", 1) != 0;
    let out = x
        .iter()
        .enumerate()
        .filter_map(|(d, &n)| match (axes.contains(&d), keep) {
            (false, _) => Some(n),
            (true, true) => Some(1),
            (true, false) => None,
        })
        .collect();
    Ok(vec![(ctx.dtype(0)?, out)])
}

//! Pad.

use super::{InferCtx, Inferred};

/// Adds (or with negative numbers removes) elements before and behind each axis.
pub(super) fn pad(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let mode = ctx.node().attrs.str("mode", "constant");
    if !matches!(mode, "constant" | "reflect" | "edge") {
        return Err(ctx.error(format!("mode {mode:?} is not supported")));
    }
    let pads = ctx.required_ints(1)?;
    if pads.len() != 2 * x.len() {
        return Err(ctx.error(format!("{} pads for rank {}, {} are expected", pads.len(), x.len(), 2 * x.len())));
    }
    if let Some(v) = ctx.optional(2)
        && (v.dtype != ctx.dtype(0)? || v.shape.iter().product::<usize>() != 1)
    {
        return Err(ctx.error(format!("fill value must be one {}", ctx.dtype(0)?)));
    }
    let mut out = Vec::with_capacity(x.len());
    for (d, &n) in x.iter().enumerate() {
        let (before, after) = (pads[d], pads[d + x.len()]);
        let limit = n as i64 - 1;
        if mode == "reflect" && (before > limit || after > limit) {
            return Err(ctx.error(format!("reflecting {before} and {after} needs an axis larger than {n}")));
        }
        let extent = (n as i64).checked_add(before).and_then(|v| v.checked_add(after));
        out.push(ctx.extent(extent.ok_or_else(|| ctx.error("pads are too large"))?)?);
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

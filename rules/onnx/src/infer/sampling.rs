//! GridSample and the pools of regions.

use super::{InferCtx, Inferred};
use ptq_ir::Diagnostic;

/// GridSample of images: one output pixel for each point of the grid.
pub(super) fn grid_sample(ctx: &InferCtx<'_>) -> Inferred {
    let (x, grid) = (ctx.shape(0)?, ctx.shape(1)?);
    match (x, grid) {
        (&[n, c, h, w], &[gn, oh, ow, 2]) if gn == n && h > 0 && w > 0 => Ok(vec![(ctx.dtype(0)?, vec![n, c, oh, ow])]),
        _ => Err(ctx.error(format!("grid {grid:?} does not fit images {x:?}"))),
    }
}

/// RoiAlign: regions `[x0, y0, x1, y1]`, each with the number of its image.
pub(super) fn roi_align(ctx: &InferCtx<'_>) -> Inferred {
    let attrs = &ctx.node().attrs;
    let out = [attrs.int("output_height", 1), attrs.int("output_width", 1)];
    let count = regions(ctx, 4)?;
    if ctx.shape(2)? != [count] {
        return Err(ctx.error(format!("image numbers {:?} for {count} regions", ctx.shape(2)?)));
    }
    pooled(ctx, count, out)
}

/// MaxRoiPool: regions `[image, x0, y0, x1, y1]`.
pub(super) fn max_roi_pool(ctx: &InferCtx<'_>) -> Inferred {
    let Some(&[h, w]) = ctx.node().attrs.ints("pooled_shape") else {
        return Err(ctx.error("pooled_shape must be two numbers"));
    };
    let count = regions(ctx, 5)?;
    pooled(ctx, count, [h, w])
}

fn regions(ctx: &InferCtx<'_>, fields: usize) -> Result<usize, Diagnostic> {
    match ctx.shape(1)? {
        &[count, n] if n == fields => Ok(count),
        other => Err(ctx.error(format!("regions {other:?} do not have {fields} numbers each"))),
    }
}

fn pooled(ctx: &InferCtx<'_>, count: usize, out: [i64; 2]) -> Inferred {
    let &[_, channels, _, _] = ctx.shape(0)? else {
        return Err(ctx.error(format!("input {:?} is no image", ctx.shape(0)?)));
    };
    let [h, w] = [ctx.extent(out[0])?, ctx.extent(out[1])?];
    if h == 0 || w == 0 {
        return Err(ctx.error("the output has no pixels"));
    }
    Ok(vec![(ctx.dtype(0)?, vec![count, channels, h, w])])
}

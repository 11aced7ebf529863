//! Split.

use super::{InferCtx, Inferred};

/// Cuts the input along an axis, by given extents or into equal parts.
pub(super) fn split(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let axis = ctx.axis(ctx.node().attrs.int("axis", 0), x.len())?;
    let parts = match ctx.ints(1)? {
        Some(extents) => extents.iter().map(|&e| ctx.extent(e)).collect::<Result<Vec<_>, _>>()?,
        None => {
            let count = ctx.node().outputs.len();
            if count == 0 || x[axis] % count != 0 {
                return Err(ctx.error(format!("an axis of {} does not split into {count} equal parts", x[axis])));
            }
            vec![x[axis] / count; count]
        }
    };
    if parts.iter().try_fold(0usize, |n, &p| n.checked_add(p)) != Some(x[axis]) {
        return Err(ctx.error(format!("parts {parts:?} do not add up to {}", x[axis])));
    }
    let dtype = ctx.dtype(0)?;
    let part = |n| {
        let mut shape = x.to_vec();
        shape[axis] = n;
        (dtype, shape)
    };
    Ok(parts.into_iter().map(part).collect())
}

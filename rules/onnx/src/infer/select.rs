//! Operators whose result's size depends on data: OneHot, Compress, NonZero, Unique.

use super::{InferCtx, Inferred};
use ptq_ir::{DType, ops};

/// OneHot: a new axis of a constant depth.
pub(super) fn one_hot(ctx: &InferCtx<'_>) -> Inferred {
    let depth = ctx.constant(1)?.ok_or_else(|| ctx.error("input 1 is missing"))?.to_f64s();
    let depth = match depth.as_slice() {
        // 2^31 is more than any tensor of this program has.
        &[d] if (1.0..2_147_483_648.0).contains(&d) => d as usize,
        _ => return Err(ctx.error(format!("depth {depth:?} must be one positive number"))),
    };
    if ctx.shape(2)? != [2] {
        return Err(ctx.error(format!("values {:?} must be off and on", ctx.shape(2)?)));
    }
    let mut out = ctx.shape(0)?.to_vec();
    let axis = ctx.axis(ctx.node().attrs.int("axis", -1), out.len() + 1)?;
    out.insert(axis, depth);
    Ok(vec![(ctx.dtype(2)?, out)])
}

/// Compress: as many slices as the constant condition has true values.
pub(super) fn compress(ctx: &InferCtx<'_>) -> Inferred {
    let condition = ctx.constant(1)?.ok_or_else(|| ctx.error("input 1 is missing"))?;
    let condition = condition.bools().map_err(|e| ctx.error(format!("input 1: {e}")))?;
    let x = ctx.shape(0)?;
    let count = condition.iter().filter(|&&c| c).count();
    let (extent, out) = match ctx.node().attrs.get("axis") {
        Some(_) => {
            let axis = ctx.axis(ctx.node().attrs.int("axis", 0), x.len())?;
            let mut out = x.to_vec();
            out[axis] = count;
            (x[axis], out)
        }
        None => (x.iter().product(), vec![count]),
    };
    if condition.len() > extent {
        return Err(ctx.error(format!("{} conditions for extent {extent}", condition.len())));
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// NonZero of a constant: one column for each element that is not zero.
pub(super) fn non_zero(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.constant(0)?.ok_or_else(|| ctx.error("input 0 is missing"))?;
    Ok(vec![(DType::I64, vec![x.shape().len(), ops::non_zero(x).len()])])
}

/// Unique of a constant.
pub(super) fn unique(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.constant(0)?.ok_or_else(|| ctx.error("input 0 is missing"))?;
    let found = ops::Unique::of(x, &ctx.node().attrs).ok_or_else(|| ctx.error("axis is outside the rank"))?;
    let kinds = found.first.len();
    let mut out = match found.axis {
        Some(_) => x.shape().to_vec(),
        None => vec![kinds],
    };
    if let Some(axis) = found.axis {
        out[axis] = kinds;
    }
    let numbers = |n: usize| (DType::I64, vec![n]);
    Ok(vec![(x.dtype(), out), numbers(kinds), numbers(found.inverse.len()), numbers(kinds)])
}

//! Trilu, Det, ReverseSequence, CumProd.

use super::{InferCtx, Inferred, elementwise};

/// Trilu: the same shape, of rank 2 or more.
pub(super) fn triangle(ctx: &InferCtx<'_>) -> Inferred {
    if ctx.shape(0)?.len() < 2 {
        return Err(ctx.error(format!("input {:?} has no matrices", ctx.shape(0)?)));
    }
    if let Some(k) = ctx.optional(1)
        && k.shape.iter().product::<usize>() != 1
    {
        return Err(ctx.error("k must be one number"));
    }
    ctx.like_first()
}

/// Det: square matrices in the last two axes become numbers.
pub(super) fn determinant(ctx: &InferCtx<'_>) -> Inferred {
    let (dtype, x) = (elementwise::unary_float(ctx)?[0].0, ctx.shape(0)?);
    match x {
        [lead @ .., n, m] if n == m => Ok(vec![(dtype, lead.to_vec())]),
        _ => Err(ctx.error(format!("input {x:?} holds no square matrices"))),
    }
}

/// ReverseSequence: one length for each batch element.
pub(super) fn reverse_sequence(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let batch = ctx.axis(ctx.node().attrs.int("batch_axis", 1), x.len())?;
    let time = ctx.axis(ctx.node().attrs.int("time_axis", 0), x.len())?;
    if batch == time || ctx.shape(1)? != [x[batch]] {
        return Err(ctx.error(format!("lengths {:?} do not fit batch axis {batch} of {x:?}", ctx.shape(1)?)));
    }
    ctx.like_first()
}

/// CumProd: not in operator set 17, so constants only.
pub(super) fn cumulative_product(ctx: &InferCtx<'_>) -> Inferred {
    ctx.all_constant()?;
    elementwise::cumulative(ctx)
}

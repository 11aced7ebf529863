//! Normalizations, in inference mode.

use super::{InferCtx, Inferred};
use ptq_ir::{Diagnostic, broadcast_shapes};

/// BatchNormalization: scale, bias, mean and variance, one entry a channel.
pub(super) fn batch(ctx: &InferCtx<'_>) -> Inferred {
    if ctx.node().attrs.int("training_mode", 0) != 0 {
        return Err(ctx.error("training mode is not supported"));
    }
    per_channel(ctx, 1..5)
}

/// InstanceNormalization: scale and bias, one entry a channel.
pub(super) fn instance(ctx: &InferCtx<'_>) -> Inferred {
    if ctx.shape(0)?.len() < 3 {
        return Err(ctx.error("input must have rank 3 or more"));
    }
    per_channel(ctx, 1..3)
}

/// LayerNormalization: scale and bias broadcast to the input; mean and inverse deviation of each row follow.
pub(super) fn layer(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let axis = ctx.axis(ctx.node().attrs.int("axis", -1), x.len())?;
    for i in 1..3 {
        if let Some(p) = ctx.optional(i)
            && broadcast_shapes(&p.shape, x).as_deref() != Some(x)
        {
            return Err(ctx.error(format!("{} {:?} does not broadcast to input {x:?}", p.name, p.shape)));
        }
    }
    ctx.input(1)?;
    let dtype = ctx.dtype(0)?;
    let mut rows = x.to_vec();
    rows[axis..].fill(1);
    Ok(vec![(dtype, x.to_vec()), (dtype, rows.clone()), (dtype, rows)])
}

fn per_channel(ctx: &InferCtx<'_>, parameters: std::ops::Range<usize>) -> Inferred {
    let x = ctx.shape(0)?;
    let channels = x.get(1).copied().ok_or_else(|| ctx.error(format!("input {x:?} has no channel axis")))?;
    parameters.into_iter().try_for_each(|i| -> Result<(), Diagnostic> {
        let p = ctx.input(i)?;
        if p.shape == [channels] {
            return Ok(());
        }
        Err(ctx.error(format!("{} {:?} does not fit {channels} channels", p.name, p.shape)))
    })?;
    ctx.like_first()
}

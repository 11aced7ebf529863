//! Softmax and LogSoftmax.

use super::{InferCtx, Inferred};

/// Normalizes along one axis.
pub(super) fn softmax(ctx: &InferCtx<'_>) -> Inferred {
    ctx.axis(ctx.node().attrs.int("axis", -1), ctx.shape(0)?.len())?;
    super::elementwise::unary_float(ctx)
}

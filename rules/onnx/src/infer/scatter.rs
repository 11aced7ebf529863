//! ScatterElements and ScatterND.

use super::gather::{block_indices, element_indices};
use super::{InferCtx, Inferred};
use ptq_ir::Diagnostic;

/// ScatterElements: one update for each index.
pub(super) fn elements(ctx: &InferCtx<'_>) -> Inferred {
    let indices = element_indices(ctx)?;
    fits(ctx, indices)?;
    ctx.like_first()
}

/// ScatterND: one block of updates for each index.
pub(super) fn blocks(ctx: &InferCtx<'_>) -> Inferred {
    let (lead, block) = block_indices(ctx, 0)?;
    fits(ctx, &[lead, block].concat())?;
    ctx.like_first()
}

fn fits(ctx: &InferCtx<'_>, expected: &[usize]) -> Result<(), Diagnostic> {
    let (dtype, updates) = (ctx.dtype(0)?, ctx.input(2)?);
    if updates.shape != expected || updates.dtype != dtype {
        let found = format!("{}{:?}", updates.dtype, updates.shape);
        return Err(ctx.error(format!("updates {found} must be {dtype}{expected:?}")));
    }
    // Operator set 17 has no max and min; constants are folded and never written.
    match ctx.node().attrs.str("reduction", "none") {
        "none" | "add" | "mul" => Ok(()),
        "max" | "min" => ctx.all_constant(),
        other => Err(ctx.error(format!("reduction {other:?} is not an ONNX mode"))),
    }
}

//! Gather.

use super::{InferCtx, Inferred};
use ptq_ir::DType;

/// Picks indices along an axis: the indices' shape replaces that axis.
pub(super) fn gather(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let indices = ctx.input(1)?;
    if !matches!(indices.dtype, DType::I64 | DType::I32) {
        return Err(ctx.error(format!("indices must be int64 or int32, are {}", indices.dtype)));
    }
    let axis = ctx.axis(ctx.node().attrs.int("axis", 0), x.len())?;
    let out = [&x[..axis], &indices.shape, &x[axis + 1..]].concat();
    Ok(vec![(ctx.dtype(0)?, out)])
}

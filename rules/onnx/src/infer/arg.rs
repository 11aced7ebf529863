//! ArgMax and ArgMin.

use super::{InferCtx, Inferred};
use ptq_ir::DType;

/// Index of the largest or smallest element along one axis.
pub(super) fn arg(ctx: &InferCtx<'_>) -> Inferred {
    let mut out = ctx.shape(0)?.to_vec();
    let axis = ctx.axis(ctx.node().attrs.int("axis", 0), out.len())?;
    if out[axis] == 0 {
        return Err(ctx.error("the axis is empty"));
    }
    if ctx.node().attrs.int("keepdims", 1) != 0 {
        out[axis] = 1;
    } else {
        out.remove(axis);
    }
    Ok(vec![(DType::I64, out)])
}

//! TopK.

use super::{InferCtx, Inferred};
use ptq_ir::DType;

/// The k largest or smallest elements along an axis, and their indices.
pub(super) fn top_k(ctx: &InferCtx<'_>) -> Inferred {
    let mut out = ctx.shape(0)?.to_vec();
    let axis = ctx.axis(ctx.node().attrs.int("axis", -1), out.len())?;
    let k = ctx.required_ints(1)?;
    match k.as_slice() {
        &[k] if ctx.extent(k)? <= out[axis] => out[axis] = ctx.extent(k)?,
        _ => return Err(ctx.error(format!("k {k:?} does not fit an axis of {}", out[axis]))),
    }
    Ok(vec![(ctx.dtype(0)?, out.clone()), (DType::I64, out)])
}

//! Cast.

use super::{InferCtx, Inferred};
use ptq_ir::{Attr, DType};

/// Cast: the type that `to` names.
pub(super) fn cast(ctx: &InferCtx<'_>) -> Inferred {
    let Some(Attr::Int(number)) = ctx.node().attrs.get("to") else {
        return Err(ctx.error("attribute to is missing"));
    };
    let dtype = i32::try_from(*number)
        .ok()
        .and_then(DType::from_onnx)
        .ok_or_else(|| ctx.error(format!("element type number {number} is not supported")))?;
    Ok(vec![(dtype, ctx.shape(0)?.to_vec())])
}

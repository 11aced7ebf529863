//! Integers as bits, and the tests IsInf and IsNaN.

use super::{InferCtx, Inferred, elementwise};
use ptq_ir::{Attr, DType};

/// BitShift: unsigned in operator set 17; signed constants are folded.
pub(super) fn shift(ctx: &InferCtx<'_>) -> Inferred {
    if !matches!(ctx.node().attrs.str("direction", ""), "LEFT" | "RIGHT") {
        return Err(ctx.error("direction must be LEFT or RIGHT"));
    }
    if matches!(ctx.dtype(0)?, DType::I8 | DType::I16 | DType::I32 | DType::I64) {
        ctx.all_constant()?;
    }
    integers(ctx)
}

/// BitwiseAnd, BitwiseOr, BitwiseXor: not in operator set 17, so constants only.
pub(super) fn bitwise(ctx: &InferCtx<'_>) -> Inferred {
    ctx.all_constant()?;
    integers(ctx)
}

fn integers(ctx: &InferCtx<'_>) -> Inferred {
    if !ctx.dtype(0)?.is_integer() {
        return Err(ctx.error(format!("inputs must be integers, are {}", ctx.dtype(0)?)));
    }
    elementwise::arithmetic(ctx)
}

/// BitwiseNot of constants.
pub(super) fn not(ctx: &InferCtx<'_>) -> Inferred {
    ctx.all_constant()?;
    if !ctx.dtype(0)?.is_integer() {
        return Err(ctx.error(format!("input must be integers, is {}", ctx.dtype(0)?)));
    }
    ctx.like_first()
}

/// BitCast of constants to a type of the same width.
pub(super) fn cast(ctx: &InferCtx<'_>) -> Inferred {
    ctx.all_constant()?;
    let Some(Attr::Int(number)) = ctx.node().attrs.get("to") else {
        return Err(ctx.error("attribute to is missing"));
    };
    let to = i32::try_from(*number).ok().and_then(DType::from_onnx);
    match to.filter(|to| to.bytes() == ctx.dtype(0).map_or(0, DType::bytes)) {
        Some(to) => Ok(vec![(to, ctx.shape(0)?.to_vec())]),
        None => Err(ctx.error(format!("{} has no bits of element type {number}", ctx.dtype(0)?))),
    }
}

/// IsInf, IsNaN.
pub(super) fn test(ctx: &InferCtx<'_>) -> Inferred {
    elementwise::unary_float(ctx)?;
    Ok(vec![(DType::Bool, ctx.shape(0)?.to_vec())])
}

//! Shape, Size, ConstantOfShape.

use super::{InferCtx, Inferred};
use ptq_ir::{Attr, DType};

/// Shape: a vector of the extents `start..end`.
pub(super) fn shape(ctx: &InferCtx<'_>) -> Inferred {
    let rank = ctx.shape(0)?.len() as i64;
    let attrs = &ctx.node().attrs;
    let wrap = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank);
    let (start, end) = (wrap(attrs.int("start", 0)), wrap(attrs.int("end", rank)));
    Ok(vec![(DType::I64, vec![(end - start).max(0) as usize])])
}

/// Size: one number.
pub(super) fn size(ctx: &InferCtx<'_>) -> Inferred {
    ctx.input(0)?;
    Ok(vec![(DType::I64, Vec::new())])
}

/// ConstantOfShape: a constant shape, filled with one value (float32 zero by default).
pub(super) fn constant_of_shape(ctx: &InferCtx<'_>) -> Inferred {
    let dtype = match ctx.node().attrs.get("value") {
        None => DType::F32,
        Some(Attr::Tensor(t)) if t.len() == 1 => t.dtype(),
        Some(_) => return Err(ctx.error("value must be a tensor of one element")),
    };
    let shape = ctx.required_ints(0)?.iter().map(|&v| ctx.extent(v)).collect::<Result<_, _>>()?;
    Ok(vec![(dtype, shape)])
}

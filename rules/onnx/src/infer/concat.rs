//! Concat.

use super::{InferCtx, Inferred};
use ptq_ir::Attr;

/// Joins inputs of one type along an axis.
pub(super) fn concat(ctx: &InferCtx<'_>) -> Inferred {
    let Some(Attr::Int(axis)) = ctx.node().attrs.get("axis") else {
        return Err(ctx.error("attribute axis is missing"));
    };
    let (dtype, mut out) = (ctx.dtype(0)?, ctx.shape(0)?.to_vec());
    let axis = ctx.axis(*axis, out.len())?;
    for value in ctx.inputs().skip(1) {
        let fits = value.shape.len() == out.len() && (0..out.len()).all(|d| d == axis || value.shape[d] == out[d]);
        if !fits || value.dtype != dtype {
            let why = format!("{} {}{:?} does not join {dtype}{out:?}", value.name, value.dtype, value.shape);
            return Err(ctx.error(format!("{why} along axis {axis}")));
        }
        out[axis] = out[axis].saturating_add(value.shape[axis]);
    }
    Ok(vec![(dtype, out)])
}

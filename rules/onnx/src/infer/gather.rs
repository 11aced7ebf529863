//! Gather, GatherElements, GatherND.

use super::{InferCtx, Inferred};
use ptq_ir::{DType, Diagnostic};

/// Gather picks indices along an axis: the indices' shape replaces that axis.
pub(super) fn gather(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let indices = indices(ctx)?;
    let axis = ctx.axis(ctx.node().attrs.int("axis", 0), x.len())?;
    let out = [&x[..axis], indices, &x[axis + 1..]].concat();
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// GatherElements: one element for each index.
pub(super) fn elements(ctx: &InferCtx<'_>) -> Inferred {
    let indices = element_indices(ctx)?;
    Ok(vec![(ctx.dtype(0)?, indices.to_vec())])
}

/// GatherND: the last axis of the indices names a block.
pub(super) fn blocks(ctx: &InferCtx<'_>) -> Inferred {
    let batch = ctx.extent(ctx.node().attrs.int("batch_dims", 0))?;
    let (lead, block) = block_indices(ctx, batch)?;
    Ok(vec![(ctx.dtype(0)?, [lead, block].concat())])
}

/// Shape of the indices, input 1.
fn indices<'a>(ctx: &InferCtx<'a>) -> Result<&'a [usize], Diagnostic> {
    let indices = ctx.input(1)?;
    if !matches!(indices.dtype, DType::I64 | DType::I32) {
        return Err(ctx.error(format!("indices must be int64 or int32, are {}", indices.dtype)));
    }
    Ok(&indices.shape)
}

/// Shape of indices that have the data's rank, and off the axis are not larger.
pub(super) fn element_indices<'a>(ctx: &InferCtx<'a>) -> Result<&'a [usize], Diagnostic> {
    let (x, indices) = (ctx.shape(0)?, indices(ctx)?);
    let axis = ctx.axis(ctx.node().attrs.int("axis", 0), x.len())?;
    if indices.len() != x.len() || (0..x.len()).any(|d| d != axis && indices[d] > x[d]) {
        return Err(ctx.error(format!("indices {indices:?} do not fit {x:?} off axis {axis}")));
    }
    Ok(indices)
}

/// Shape of the indices without their last axis, and of the block that each of them names.
pub(super) fn block_indices<'a>(ctx: &InferCtx<'a>, batch: usize) -> Result<(&'a [usize], &'a [usize]), Diagnostic> {
    let (x, indices) = (ctx.shape(0)?, indices(ctx)?);
    match indices.split_last() {
        Some((&width, lead)) if batch <= lead.len() && batch + width <= x.len() && lead[..batch] == x[..batch] => {
            Ok((lead, &x[batch + width..]))
        }
        _ => Err(ctx.error(format!("indices {indices:?} do not fit {x:?} with {batch} batch axes"))),
    }
}

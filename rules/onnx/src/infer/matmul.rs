//! Gemm and MatMul.

use super::{InferCtx, Inferred};
use ptq_ir::{broadcast_shapes, ops::GemmAttrs};

/// Gemm: two matrices, transposed on request, and an addend that broadcasts to the product.
pub(super) fn gemm(ctx: &InferCtx<'_>) -> Inferred {
    let attrs = GemmAttrs::of(ctx.node());
    let (a, b) = (ctx.shape(0)?, ctx.shape(1)?);
    let (&[a0, a1], &[b0, b1]) = (a, b) else {
        return Err(ctx.error(format!("operands {a:?} and {b:?} must be matrices")));
    };
    let (m, k) = if attrs.trans_a { (a1, a0) } else { (a0, a1) };
    let (kb, n) = if attrs.trans_b { (b1, b0) } else { (b0, b1) };
    if k != kb {
        return Err(ctx.error(format!("operands {a:?} and {b:?} do not fit (inner extents {k} and {kb})")));
    }
    if let Some(c) = ctx.optional(2)
        && broadcast_shapes(&c.shape, &[m, n]).as_deref() != Some(&[m, n])
    {
        return Err(ctx.error(format!("addend {:?} does not broadcast to [{m}, {n}]", c.shape)));
    }
    Ok(vec![(ctx.dtype(0)?, vec![m, n])])
}

/// MatMul as numpy.matmul: vectors gain an axis that is removed again, leading axes broadcast.
pub(super) fn matmul(ctx: &InferCtx<'_>) -> Inferred {
    let (a, b) = (ctx.shape(0)?, ctx.shape(1)?);
    if a.is_empty() || b.is_empty() {
        return Err(ctx.error("operands must not be scalars"));
    }
    if ctx.dtype(0)? != ctx.dtype(1)? {
        return Err(ctx.error(format!("operands are {} and {}", ctx.dtype(0)?, ctx.dtype(1)?)));
    }
    let wide_a = if a.len() == 1 { vec![1, a[0]] } else { a.to_vec() };
    let wide_b = if b.len() == 1 { vec![b[0], 1] } else { b.to_vec() };
    let (batch_a, ma) = wide_a.split_at(wide_a.len() - 2);
    let (batch_b, mb) = wide_b.split_at(wide_b.len() - 2);
    let batch = broadcast_shapes(batch_a, batch_b).filter(|_| ma[1] == mb[0]);
    let mut out = batch.ok_or_else(|| ctx.error(format!("operands {a:?} and {b:?} do not fit")))?;
    if a.len() > 1 {
        out.push(ma[0]);
    }
    if b.len() > 1 {
        out.push(mb[1]);
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

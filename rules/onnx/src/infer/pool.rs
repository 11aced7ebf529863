//! Pools: AveragePool, LpPool, MaxPool with its indices, the global pools, MaxUnpool.

use super::window::list;
use super::{InferCtx, Inferred};
use ptq_ir::ops::Window;
use ptq_ir::{DType, Diagnostic};

/// AveragePool and LpPool of any spatial rank.
pub(super) fn pool(ctx: &InferCtx<'_>) -> Inferred {
    Ok(vec![(ctx.dtype(0)?, windows(ctx)?)])
}

/// MaxPool of any spatial rank; the second output says where each maximum was.
pub(super) fn max(ctx: &InferCtx<'_>) -> Inferred {
    let out = windows(ctx)?;
    Ok(vec![(ctx.dtype(0)?, out.clone()), (DType::I64, out)])
}

fn windows(ctx: &InferCtx<'_>) -> Result<Vec<usize>, Diagnostic> {
    let x = image(ctx)?;
    let kernel = list(ctx, "kernel_shape", x.len() - 2, 0)?;
    let window = Window::of(ctx.node(), &x[2..], &kernel)?;
    let mut out = x[..2].to_vec();
    out.extend(window.out(ctx.node(), &x[2..])?);
    Ok(out)
}

fn image<'a>(ctx: &InferCtx<'a>) -> Result<&'a [usize], Diagnostic> {
    let x = ctx.shape(0)?;
    if x.len() < 3 { Err(ctx.error(format!("input {x:?} must have rank 3 or more"))) } else { Ok(x) }
}

/// GlobalAveragePool, GlobalLpPool and GlobalMaxPool: every spatial extent becomes 1.
pub(super) fn global(ctx: &InferCtx<'_>) -> Inferred {
    let x = image(ctx)?;
    let mut out = vec![1; x.len()];
    out[..2].copy_from_slice(&x[..2]);
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// MaxUnpool: `(in − 1)·stride + kernel − pads` along each axis, or the stated output shape.
pub(super) fn max_unpool(ctx: &InferCtx<'_>) -> Inferred {
    let x = image(ctx)?;
    if ctx.shape(1)? != x || ctx.dtype(1)? != DType::I64 {
        return Err(ctx.error(format!("indices must be int64 of shape {x:?}")));
    }
    let kernel = list(ctx, "kernel_shape", x.len() - 2, 0)?;
    let window = Window::of(ctx.node(), &x[2..], &kernel)?;
    let mut out = x[..2].to_vec();
    for (d, &n) in x[2..].iter().enumerate() {
        let reach = n.saturating_sub(1).saturating_mul(window.strides[d]).saturating_add(kernel[d]);
        let [before, after] = window.pads[d];
        let left = reach.checked_sub(before.saturating_add(after));
        out.push(left.ok_or_else(|| ctx.error(format!("pads of axis {d} exceed the output of {reach}")))?);
    }
    if let Some(stated) = ctx.ints(2)? {
        let stated = stated.iter().map(|&v| ctx.extent(v)).collect::<Result<Vec<_>, _>>()?;
        if stated.len() != x.len() || stated[..2] != x[..2] || stated.iter().zip(&out).any(|(s, o)| s < o) {
            return Err(ctx.error(format!("output shape {stated:?} does not hold {out:?}")));
        }
        out = stated;
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

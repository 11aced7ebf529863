//! Conv and ConvTranspose.

use super::window::list;
use super::{InferCtx, Inferred};
use ptq_ir::Diagnostic;
use ptq_ir::ops::{TransposedWindow, Window};

/// Conv of any spatial rank.
pub(super) fn conv(ctx: &InferCtx<'_>) -> Inferred {
    let (x, w) = (ctx.shape(0)?, ctx.shape(1)?);
    let group = operands(ctx, x, w)?;
    if w[1].checked_mul(group) != Some(x[1]) || w[0] % group != 0 {
        return Err(ctx.error(format!("weights {w:?} in {group} groups do not fit input {x:?}")));
    }
    bias(ctx, w[0])?;
    let kernel = kernel(ctx, &w[2..])?;
    let window = Window::of(ctx.node(), &x[2..], &kernel)?;
    let mut out = vec![x[0], w[0]];
    out.extend(window.out(ctx.node(), &x[2..])?);
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// ConvTranspose: `stride·(in − 1) + output_padding + span − pads`, or `output_shape` where given.
pub(super) fn conv_transpose(ctx: &InferCtx<'_>) -> Inferred {
    let (x, w) = (ctx.shape(0)?, ctx.shape(1)?);
    let group = operands(ctx, x, w)?;
    let channels = w[1].checked_mul(group);
    if w[0] != x[1] || w[0] % group != 0 || channels.is_none() {
        return Err(ctx.error(format!("weights {w:?} in {group} groups do not fit input {x:?}")));
    }
    let channels = channels.unwrap_or(0);
    bias(ctx, channels)?;
    let kernel = kernel(ctx, &w[2..])?;
    let mut out = vec![x[0], channels];
    out.extend(TransposedWindow::of(ctx.node(), &x[2..], &kernel)?.out);
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// Checks ranks, types and group; returns the group.
fn operands(ctx: &InferCtx<'_>, x: &[usize], w: &[usize]) -> Result<usize, Diagnostic> {
    if x.len() < 3 || x.len() != w.len() {
        return Err(ctx.error(format!("input {x:?} and weights {w:?} must have one rank, at least 3")));
    }
    let (dtype, wt) = (ctx.dtype(0)?, ctx.dtype(1)?);
    if !dtype.is_float() || dtype != wt {
        return Err(ctx.error(format!("input and weights must be of one floating-point type, are {dtype} and {wt}")));
    }
    usize::try_from(ctx.node().attrs.int("group", 1))
        .ok()
        .filter(|&g| g > 0)
        .ok_or_else(|| ctx.error("group must be positive"))
}

fn bias(ctx: &InferCtx<'_>, channels: usize) -> Result<(), Diagnostic> {
    match ctx.optional(2) {
        Some(b) if b.shape != [channels] => {
            Err(ctx.error(format!("bias {:?} does not fit {channels} output channels", b.shape)))
        }
        _ => Ok(()),
    }
}

fn kernel(ctx: &InferCtx<'_>, of_weights: &[usize]) -> Result<Vec<usize>, Diagnostic> {
    match ctx.node().attrs.ints("kernel_shape") {
        Some(_) if list(ctx, "kernel_shape", of_weights.len(), 0)? != of_weights => {
            Err(ctx.error(format!("kernel_shape differs from the weights' {of_weights:?}")))
        }
        _ => Ok(of_weights.to_vec()),
    }
}

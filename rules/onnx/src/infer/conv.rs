//! Conv and ConvTranspose.

use super::window::{list, window};
use super::{InferCtx, Inferred};
use ptq_ir::{Diagnostic, ops::ConvGeom};

/// Conv of any spatial rank; the 2-D geometry is the one that kernels and placement read.
pub(super) fn conv(ctx: &InferCtx<'_>) -> Inferred {
    let (x, w) = (ctx.shape(0)?, ctx.shape(1)?);
    let group = operands(ctx, x, w)?;
    if w[1].checked_mul(group) != Some(x[1]) || w[0] % group != 0 {
        return Err(ctx.error(format!("weights {w:?} in {group} groups do not fit input {x:?}")));
    }
    bias(ctx, w[0])?;
    let kernel = kernel(ctx, &w[2..])?;
    let mut out = vec![x[0], w[0]];
    if let &[_, _, h, wd] = x {
        window(ctx, &x[2..], &kernel)?;
        let geom = ConvGeom::of(ctx.node(), x, w)?;
        out.extend(geom.out_hw([h, wd]).ok_or_else(|| ctx.error("the window does not fit"))?);
    } else {
        let win = window(ctx, &x[2..], &kernel)?;
        for d in 0..kernel.len() {
            out.push(win.extent(ctx, d, x[2 + d], kernel[d], false)?);
        }
    }
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
    let n = kernel.len();
    let win = window(ctx, &x[2..], &kernel)?;
    let extra = list(ctx, "output_padding", n, 0)?;
    let stated = ctx.node().attrs.ints("output_shape").map(|_| list(ctx, "output_shape", n, 0)).transpose()?;
    let same = ctx.node().attrs.str("auto_pad", "NOTSET").starts_with("SAME");
    let mut out = vec![x[0], channels];
    for d in 0..n {
        let full = transposed_extent(x[2 + d], kernel[d], win.strides[d], win.dilations[d], extra[d])
            .ok_or_else(|| ctx.error(format!("axis {d} has no output")))?;
        out.push(match &stated {
            Some(shape) => shape[d],
            None if same => x[2 + d].saturating_mul(win.strides[d]),
            None => full
                .checked_sub(win.pads[d].0 + win.pads[d].1)
                .ok_or_else(|| ctx.error(format!("pads of axis {d} exceed the output of {full}")))?,
        });
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

fn transposed_extent(input: usize, kernel: usize, stride: usize, dilation: usize, extra: usize) -> Option<usize> {
    let span = (kernel - 1).checked_mul(dilation)?.checked_add(1)?;
    input.checked_sub(1)?.checked_mul(stride)?.checked_add(span)?.checked_add(extra)
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

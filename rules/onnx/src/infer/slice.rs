//! Slice.

use super::{InferCtx, Inferred};

/// Cuts ranges out of axes; starts, ends, axes and steps are constants.
pub(super) fn slice(ctx: &InferCtx<'_>) -> Inferred {
    let mut out = ctx.shape(0)?.to_vec();
    let (starts, ends) = (ctx.required_ints(1)?, ctx.required_ints(2)?);
    let axes = match ctx.ints(3)? {
        Some(axes) => ctx.axes(&axes, out.len())?,
        None => (0..starts.len()).collect(),
    };
    let steps = ctx.ints(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || axes.iter().any(|&a| a >= out.len()) {
        return Err(ctx.error(format!("starts, ends, axes and steps do not fit rank {}", out.len())));
    }
    for (i, &axis) in axes.iter().enumerate() {
        out[axis] =
            extent(out[axis], starts[i], ends[i], steps[i]).ok_or_else(|| ctx.error("steps must not be zero"))?;
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// Elements of `start..end` by `step` in an axis of `n`, after ONNX's clamping.
fn extent(n: usize, start: i64, end: i64, step: i64) -> Option<usize> {
    let n = i64::try_from(n).ok()?;
    let wrap = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
    let count = match step {
        0 => return None,
        1.. => wrap(end).clamp(0, n) - wrap(start).clamp(0, n),
        _ if n == 0 => 0,
        _ => wrap(start).clamp(0, n - 1) - wrap(end).clamp(-1, n - 1),
    };
    usize::try_from(count.max(0).unsigned_abs().div_ceil(step.unsigned_abs())).ok()
}

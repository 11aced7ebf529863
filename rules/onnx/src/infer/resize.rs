//! Resize.

use super::{InferCtx, Inferred};

/// Resize: by `sizes`, or by `floor(extent · scale)` with `scales`; exactly one of them, constant.
pub(super) fn resize(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let attrs = &ctx.node().attrs;
    let mode = attrs.str("mode", "nearest");
    let transform = attrs.str("coordinate_transformation_mode", "half_pixel");
    let known = ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners", "tf_crop_and_resize"];
    if !matches!(mode, "nearest" | "linear" | "cubic") || !known.contains(&transform) {
        return Err(ctx.error(format!("mode {mode} with {transform} is not supported")));
    }
    let fits = |n: usize, what: &str| {
        if n == x.len() { Ok(()) } else { Err(ctx.error(format!("{n} {what} for rank {}", x.len()))) }
    };
    let roi = match ctx.constant(1)?.filter(|_| transform == "tf_crop_and_resize") {
        Some(roi) => {
            let roi = roi.f32s().map_err(|e| ctx.error(format!("region: {e}")))?;
            fits(roi.len() / 2, "starts and ends of the region")?;
            Some(roi)
        }
        None => None,
    };
    let out: Vec<usize> = match (ctx.constant(2)?, ctx.ints(3)?) {
        (None, Some(sizes)) => {
            fits(sizes.len(), "sizes")?;
            sizes.iter().map(|&s| ctx.extent(s)).collect::<Result<_, _>>()?
        }
        (Some(scales), None) => {
            let scales = scales.f32s().map_err(|e| ctx.error(format!("scales: {e}")))?;
            fits(scales.len(), "scales")?;
            if scales.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
                return Err(ctx.error(format!("scales {scales:?} must be positive")));
            }
            // As float32, like ONNX Runtime: an extent of exactly n must not become n - 1.
            let part = |d: usize| roi.as_ref().map_or(1.0, |r| r[d + x.len()] - r[d]);
            x.iter().zip(scales).enumerate().map(|(d, (&n, &s))| (n as f32 * part(d) * s).floor() as usize).collect()
        }
        _ => return Err(ctx.error("exactly one of scales and sizes must be given")),
    };
    if out.contains(&0) && !x.contains(&0) {
        return Err(ctx.error(format!("input {x:?} shrinks to nothing")));
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

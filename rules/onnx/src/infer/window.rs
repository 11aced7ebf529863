//! Sliding windows of any spatial rank, for operators whose 2-D geometry is read by `ptq_ir::ops`.

use super::InferCtx;
use ptq_ir::Diagnostic;

/// Window attributes, one entry a spatial axis.
pub(super) struct Window {
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    /// Before, then after, each axis.
    pub(super) pads: Vec<(usize, usize)>,
}

/// Non-negative integers of an attribute with `count` entries, or the default.
pub(super) fn list(ctx: &InferCtx<'_>, name: &str, count: usize, default: usize) -> Result<Vec<usize>, Diagnostic> {
    let Some(values) = ctx.node().attrs.ints(name) else { return Ok(vec![default; count]) };
    if values.len() != count {
        return Err(ctx.error(format!("{name} has {} entries, {count} are expected", values.len())));
    }
    values.iter().map(|&v| ctx.extent(v)).collect()
}

/// Reads strides, dilations and pads for a kernel over `spatial`; `auto_pad` is resolved.
pub(super) fn window(ctx: &InferCtx<'_>, spatial: &[usize], kernel: &[usize]) -> Result<Window, Diagnostic> {
    let n = spatial.len();
    let strides = list(ctx, "strides", n, 1)?;
    let dilations = list(ctx, "dilations", n, 1)?;
    if kernel.len() != n || kernel.iter().chain(&strides).chain(&dilations).any(|&v| v == 0) {
        return Err(
            ctx.error(format!("kernel {kernel:?}, strides {strides:?} and dilations must be {n} positive numbers"))
        );
    }
    let pads = match ctx.node().attrs.str("auto_pad", "NOTSET") {
        "NOTSET" | "" => {
            let p = list(ctx, "pads", 2 * n, 0)?;
            (0..n).map(|d| (p[d], p[d + n])).collect()
        }
        "VALID" => vec![(0, 0); n],
        mode @ ("SAME_UPPER" | "SAME_LOWER") => (0..n)
            .map(|d| {
                let span = (kernel[d] - 1).saturating_mul(dilations[d]).saturating_add(1);
                let room = (spatial[d].div_ceil(strides[d]).saturating_sub(1)).saturating_mul(strides[d]);
                let total = room.saturating_add(span).saturating_sub(spatial[d]);
                let small = total / 2;
                if mode == "SAME_UPPER" { (small, total - small) } else { (total - small, small) }
            })
            .collect(),
        other => return Err(ctx.error(format!("auto_pad {other:?} is not an ONNX mode"))),
    };
    Ok(Window { strides, dilations, pads })
}

impl Window {
    /// Output extent of axis `d`; with `ceil`, a last window that would start behind the image is dropped.
    pub(super) fn extent(
        &self,
        ctx: &InferCtx<'_>,
        d: usize,
        input: usize,
        kernel: usize,
        ceil: bool,
    ) -> Result<usize, Diagnostic> {
        let span = (kernel - 1).saturating_mul(self.dilations[d]).saturating_add(1);
        let (before, after) = self.pads[d];
        let padded = input.saturating_add(before).saturating_add(after);
        let Some(room) = padded.checked_sub(span) else {
            return Err(ctx.error(format!("window of {span} is larger than the padded input of {padded} (axis {d})")));
        };
        let stride = self.strides[d];
        let n = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
        let starts_behind = ceil && (n - 1).saturating_mul(stride) >= input.saturating_add(before);
        Ok(if starts_behind { n - 1 } else { n })
    }
}

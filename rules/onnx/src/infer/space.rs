//! DepthToSpace and SpaceToDepth.

use super::{InferCtx, Inferred};
use ptq_ir::Diagnostic;

/// DepthToSpace: channels become pixels of a block.
pub(super) fn depth_to_space(ctx: &InferCtx<'_>) -> Inferred {
    let mode = ctx.node().attrs.str("mode", "DCR");
    if !matches!(mode, "DCR" | "CRD") {
        return Err(ctx.error(format!("mode {mode:?} is not an ONNX mode")));
    }
    let ([n, c, h, w], block) = operands(ctx)?;
    let area = block.checked_mul(block).filter(|&a| c % a == 0);
    let area = area.ok_or_else(|| ctx.error(format!("{c} channels do not fill blocks of {block}")))?;
    Ok(vec![(ctx.dtype(0)?, vec![n, c / area, h.saturating_mul(block), w.saturating_mul(block)])])
}

/// SpaceToDepth: pixels of a block become channels.
pub(super) fn space_to_depth(ctx: &InferCtx<'_>) -> Inferred {
    let ([n, c, h, w], block) = operands(ctx)?;
    if h % block != 0 || w % block != 0 {
        return Err(ctx.error(format!("image {h}x{w} does not divide into blocks of {block}")));
    }
    let channels = c.saturating_mul(block).saturating_mul(block);
    Ok(vec![(ctx.dtype(0)?, vec![n, channels, h / block, w / block])])
}

fn operands(ctx: &InferCtx<'_>) -> Result<([usize; 4], usize), Diagnostic> {
    let x = ctx.shape(0)?;
    let block = usize::try_from(ctx.node().attrs.int("blocksize", 0)).unwrap_or(0);
    match x {
        &[n, c, h, w] if block > 0 => Ok(([n, c, h, w], block)),
        _ => Err(ctx.error(format!("input {x:?} must have rank 4 and blocksize must be positive"))),
    }
}

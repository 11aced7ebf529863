//! Options that newer operator sets added: their default is operator set 17's meaning, anything else is refused.

use super::parts::{Parts, signed};
use super::{Conversion, Converted};
use ptq_ir::Attr;

/// Cast: `saturate` since 19 and `round_mode` since 24 concern types that no graph holds.
pub(super) fn cast(mut c: Conversion<'_>) -> Converted {
    c.node.attrs.0.remove("saturate");
    c.node.attrs.0.remove("round_mode");
    c.done()
}

/// Range: `stash_type` since 27 concerns 16-bit floats only.
pub(super) fn range(mut c: Conversion<'_>) -> Converted {
    c.node.attrs.0.remove("stash_type");
    c.done()
}

/// RoiAlign before 16 does not shift by half a pixel.
pub(super) fn roi_align(mut c: Conversion<'_>) -> Converted {
    if c.opset < 16 {
        c.node.attrs.set("coordinate_transformation_mode", Attr::Str("output_half_pixel".to_owned()));
    }
    c.done()
}

/// SpaceToDepth: `mode` since 28; the order CRD is a Transpose between two Reshapes.
pub(super) fn space_to_depth(mut c: Conversion<'_>) -> Converted {
    match c.node.attrs.0.remove("mode") {
        Some(Attr::Str(mode)) if mode == "CRD" => {}
        Some(Attr::Str(mode)) if mode != "DCR" => return Err(c.error(format!("mode {mode} is not defined"))),
        _ => return c.done(),
    }
    let (shape, block) = (c.shape()?, usize::try_from(c.node.attrs.int("blocksize", 0)).unwrap_or(0));
    let &[n, channels, h, w] = &shape[..] else { return Err(c.error(format!("input {shape:?} is no image"))) };
    if block == 0 || h % block != 0 || w % block != 0 {
        return Err(c.error(format!("image {h}x{w} is not a multiple of block {block}")));
    }
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let split = parts.reshape(&x, &[n, channels, h / block, block, w / block, block]);
    let turned = parts.transpose(&split, &[0, 1, 3, 5, 2, 4]);
    let target = parts.ints("shape", signed(&[n, channels * block * block, h / block, w / block]));
    parts.finish("Reshape", &[&turned, &target], &[])
}

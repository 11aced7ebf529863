//! AveragePool and MaxPool over the taps inside the image.

use super::operand::{Operand, bad, range, tensor};
use crate::ExecError;
use ptq_ir::ops::PoolGeom;
use ptq_ir::{QPool, QTensor, Requant, Tensor};
use ptq_kernels::requant::{apply_wide, store};

pub(super) fn average(pool: &QPool, x: &Operand<'_>, out: &QTensor) -> Result<Tensor, ExecError> {
    let (lo, hi) = range(out)?;
    let zero = x.zero();
    let entries = match &pool.requant {
        Requant::Float(m) => m.len(),
        Requant::Fixed(m) => m.len(),
    };
    if entries != 1 && entries != pool.geom.kernel[0] * pool.geom.kernel[1] {
        return Err(bad(out, format!("{entries} multipliers for window {:?}", pool.geom.kernel)));
    }
    windows(&pool.geom, x, out, |taps| {
        let sum = taps.iter().map(|&v| i64::from(v) - i64::from(zero)).sum();
        let rounded = if taps.is_empty() { 0 } else { apply_wide(&pool.requant, taps.len() - 1, sum) };
        store(rounded, pool.out_zero, lo, hi)
    })
}

pub(super) fn max(geom: &PoolGeom, x: &Operand<'_>, out: &QTensor) -> Result<Tensor, ExecError> {
    let (lo, _) = range(out)?;
    windows(geom, x, out, |taps| taps.iter().copied().fold(lo, i32::max))
}

/// `f` of the taps inside the image, for each window.
fn windows(geom: &PoolGeom, x: &Operand<'_>, out: &QTensor, f: impl Fn(&[i32]) -> i32) -> Result<Tensor, ExecError> {
    let [batch, channels, height, width] = x.nchw()?;
    let [oh, ow] = geom.out_hw([height, width]).ok_or_else(|| bad(out, "the window does not fit".into()))?;
    let values = x.ints()?;
    let mut y = Vec::with_capacity(batch * channels * oh * ow);
    let mut taps = Vec::with_capacity(geom.kernel[0] * geom.kernel[1]);
    for plane in values.chunks_exact((height * width).max(1)) {
        for oy in 0..oh {
            for ox in 0..ow {
                taps.clear();
                for ky in 0..geom.kernel[0] {
                    let Some(iy) = source(geom, 0, oy, ky, height) else { continue };
                    for kx in 0..geom.kernel[1] {
                        taps.extend(source(geom, 1, ox, kx, width).map(|ix| plane[iy * width + ix]));
                    }
                }
                y.push(f(&taps));
            }
        }
    }
    tensor(out, &[batch, channels, oh, ow], y)
}

/// The input index of a tap, when it is inside.
fn source(geom: &PoolGeom, d: usize, o: usize, k: usize, extent: usize) -> Option<usize> {
    (o * geom.strides[d] + k * geom.dilations[d]).checked_sub(geom.pads[d]).filter(|&i| i < extent)
}

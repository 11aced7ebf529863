//! POOL.

use super::scale::Scale;
use crate::memory::Memory;
use crate::{Pool, PoolKind, Sram, TAP_CONSTANT_BYTES, TrapKind};
use ptq_kernels::requant::store;

/// Operand ranges as (start, bytes).
pub(crate) fn operands(c: &Pool) -> [(Sram, u64); 2] {
    let pixels = u64::from(c.in_hwc[0]) * u64::from(c.in_hwc[1]);
    let ifm = pixels * u64::from(c.in_hwc[2]) * c.elem.bytes() as u64;
    [(c.ifm, ifm), (c.constants, u64::from(c.taps) * TAP_CONSTANT_BYTES as u64)]
}

/// Runs a pool.
pub(super) fn pool(c: &Pool, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [ifm, constants] = operands(c);
    let x = sram.read(u64::from(ifm.0.0), ifm.1)?;
    let table = sram.read(u64::from(constants.0.0), constants.1)?;
    let scales: Vec<Scale> = table
        .as_chunks::<TAP_CONSTANT_BYTES>()
        .0
        .iter()
        .map(|entry| Scale::read(entry, c.rounding))
        .collect::<Result<_, _>>()?;
    let pixels = u64::from(c.out_hw[0]) * u64::from(c.out_hw[1]);
    sram.bounds(u64::from(c.ofm.0), pixels * u64::from(c.in_hwc[2]) * c.elem.bytes() as u64)?;
    let channels = usize::from(c.in_hwc[2]);
    let mut acc = vec![0i64; channels];
    let mut out = Vec::new();
    for oy in 0..usize::from(c.out_hw[0]) {
        for ox in 0..usize::from(c.out_hw[1]) {
            let taps = accumulate(c, x, [oy, ox], &mut acc);
            for &a in &acc {
                c.elem.push(finish(c, &scales, taps, a)?, &mut out);
            }
        }
    }
    Ok(out)
}

/// Sums or maxima of one window, and its taps inside the image.
fn accumulate(c: &Pool, x: &[u8], out: [usize; 2], acc: &mut [i64]) -> u32 {
    let [in_h, in_w, channels] = c.in_hwc.map(usize::from);
    let pads = [usize::from(c.pad_top), usize::from(c.pad_left)];
    let at = |d: usize, k: usize, extent: usize| {
        let place = out[d] * usize::from(c.strides[d]) + k * usize::from(c.dilations[d]);
        place.checked_sub(pads[d]).filter(|&p| p < extent)
    };
    acc.fill(if c.kind == PoolKind::Max { c.elem.range().0.into() } else { 0 });
    let pixel_bytes = channels * c.elem.bytes();
    let mut taps = 0;
    for ky in 0..usize::from(c.kernel[0]) {
        let Some(y) = at(0, ky, in_h) else { continue };
        for kx in 0..usize::from(c.kernel[1]) {
            let Some(col) = at(1, kx, in_w) else { continue };
            let start = (y * in_w + col) * pixel_bytes;
            add_pixel(c, &x[start..start + pixel_bytes], acc);
            taps += 1;
        }
    }
    taps
}

fn add_pixel(c: &Pool, pixel: &[u8], acc: &mut [i64]) {
    let zero = i64::from(c.x_zero);
    let numbers = c.elem.numbers(pixel).map(i64::from);
    match c.kind {
        PoolKind::Max => acc.iter_mut().zip(numbers).for_each(|(a, v)| *a = (*a).max(v)),
        PoolKind::Average => acc.iter_mut().zip(numbers).for_each(|(a, v)| *a += v - zero),
    }
}

fn finish(c: &Pool, scales: &[Scale], taps: u32, acc: i64) -> Result<i32, TrapKind> {
    if c.kind == PoolKind::Max {
        return Ok(acc as i32);
    }
    if taps == 0 {
        return Ok(c.out_zero.into());
    }
    let scale = taps.checked_sub(c.first_taps).and_then(|i| scales.get(i as usize));
    let scale = scale.ok_or(TrapKind::Data("a window has a tap count without a constant"))?;
    let (lo, hi) = c.elem.range();
    Ok(store(scale.apply(acc), c.out_zero.into(), lo, hi))
}

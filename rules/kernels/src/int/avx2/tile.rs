//! [`crate::int::tile::run`] by `vpmaddwd` on widened pairs: up to six pixels at a time, sums in twelve registers.
//!
//! A product of widened 8-bit numbers is at most 2^15 in magnitude, so a pair's sum is exact in 32 bits.

use super::finish::{float, store_bytes, store_row};
use crate::Isa;
use crate::int::finish::{Entries, Kind, Target};
use crate::int::tile::{NR, Places, Sums};
use std::arch::x86_64::*;

/// Pixels of the largest tile.
const MR: usize = 6;

/// One panel over the first `pixels` pixels.
pub(crate) fn panel(
    isa: Isa,
    x: &[i16],
    places: &Places,
    pixels: usize,
    w: &[i16],
    bias: &Sums,
    target: &mut Target<'_>,
) {
    assert!(isa.avx2());
    assert!(places.run().is_multiple_of(2) && w.len() >= places.depth() * NR, "weights are too short");
    assert!(pixels == 0 || places.reach(pixels) <= x.len(), "a window leaves the strip");
    assert!(target.holds(pixels), "the result is too short");
    // SAFETY: AVX2 is present, and the bounds that `panel_avx2` asks for hold (all checked).
    unsafe { panel_avx2(x, places, pixels, w, bias, target) }
}

/// # Safety
/// Every run of the first `pixels` pixels is in `x`, `w` has `NR` weights for each element, `target` holds the rows.
#[target_feature(enable = "avx2")]
unsafe fn panel_avx2(x: &[i16], places: &Places, pixels: usize, w: &[i16], bias: &Sums, target: &mut Target<'_>) {
    let mut first = 0;
    while first < pixels {
        // SAFETY: what the caller promises.
        first += unsafe {
            match pixels - first {
                6.. => tiles::<6>(x, places, first, w, bias, target),
                4.. => tiles::<4>(x, places, first, w, bias, target),
                2.. => tiles::<2>(x, places, first, w, bias, target),
                _ => tiles::<1>(x, places, first, w, bias, target),
            }
        };
    }
}

/// The tile of `M` pixels from `first` on; returns `M`.
///
/// # Safety
/// As [`panel_avx2`], and there are `M` more pixels.
#[target_feature(enable = "avx2")]
unsafe fn tiles<const M: usize>(
    x: &[i16],
    places: &Places,
    first: usize,
    w: &[i16],
    bias: &Sums,
    target: &mut Target<'_>,
) -> usize {
    // SAFETY: what the caller promises.
    unsafe {
        if places.even(first) >= M {
            tile::<M, true>(x, places, first, w, bias, target);
        } else {
            tile::<M, false>(x, places, first, w, bias, target);
        }
    }
    M
}

/// `M` pixels from `first` on. A function of its own, so that sums stay in registers. Evenly spaced pixels are reached
/// from two addresses.
///
/// # Safety
/// As [`panel_avx2`]; there are `M` more pixels, `EVEN` ones if it says so.
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn tile<const M: usize, const EVEN: bool>(
    x: &[i16],
    places: &Places,
    first: usize,
    w: &[i16],
    bias: &Sums,
    target: &mut Target<'_>,
) {
    let corners = &places.corners()[first..first + M];
    let step = if M > 1 { corners[1] - corners[0] } else { 0 };
    let mut w = w.as_ptr();
    // SAFETY: the bias holds 16 numbers; the rest is what the caller promises.
    let sums = unsafe {
        let start = [_mm256_loadu_si256(bias.as_ptr().cast()), _mm256_loadu_si256(bias.as_ptr().add(8).cast())];
        let mut sums = [start; M];
        for &run in places.runs() {
            let from: [*const i16; M] = std::array::from_fn(|i| x.as_ptr().wrapping_add(corners[i] + run));
            let mut base: [*const i16; MR / 3] = std::array::from_fn(|i| from[0].wrapping_add(3 * i * step));
            let mut q = 0;
            while q < places.run() {
                let w0 = _mm256_loadu_si256(w.cast());
                let w1 = _mm256_loadu_si256(w.add(NR).cast());
                for i in 0..M {
                    let at = if EVEN { base[i / 3].add(step * (i % 3)) } else { from[i].add(q) };
                    let pair = _mm256_set1_epi32(at.cast::<i32>().read_unaligned());
                    sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(pair, w0));
                    sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(pair, w1));
                }
                w = w.add(2 * NR);
                q += 2;
                base = base.map(|x| x.wrapping_add(2));
            }
        }
        sums
    };
    if let Kind::Bytes(Entries::Float(m), range, out) = &mut target.kind {
        let out = out.as_mut_ptr().wrapping_add(first * target.stride);
        for (i, [low, high]) in sums.into_iter().enumerate() {
            // SAFETY: the target holds `columns` bytes of each row.
            unsafe { store_bytes(float(low, high, m, *range), out.add(i * target.stride), target.columns) };
        }
        return;
    }
    for (i, [low, high]) in sums.into_iter().enumerate() {
        // SAFETY: the target holds the rows.
        unsafe { store_row(target, first + i, low, high) };
    }
}

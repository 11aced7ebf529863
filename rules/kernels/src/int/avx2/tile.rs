//! [`crate::int::tile::run`] by `vpmaddwd` on widened pairs: six pixels at a time, sums in twelve registers.
//!
//! A product of widened 8-bit numbers is at most 2^15 in magnitude, so a pair's sum is exact in 32 bits.

use super::finish::store_row;
use crate::Isa;
use crate::int::finish::Target;
use crate::int::tile::{NR, Places, Sums};
use std::arch::x86_64::*;

/// Pixels of a tile.
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
    let corners = &places.corners()[..pixels];
    let mut sums = [[_mm256_setzero_si256(); 2]; MR];
    for first in (0..pixels).step_by(MR) {
        // A tile beyond the end repeats the last pixel.
        let base = std::array::from_fn(|i| {
            // SAFETY: corners lie in x.
            unsafe { x.as_ptr().add(corners[(first + i).min(pixels - 1)]) }
        });
        // SAFETY: what the caller promises.
        unsafe {
            tile(&base, places, w.as_ptr(), bias, &mut sums);
            for (i, &[low, high]) in sums.iter().enumerate().take(pixels - first) {
                store_row(target, first + i, low, high);
            }
        }
    }
}

/// Sums of one tile. A function of its own, so that they stay in registers.
///
/// # Safety
/// Every run of the pixels at `base` may be read, `w` has `NR` weights for each element.
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn tile(base: &[*const i16; MR], places: &Places, mut w: *const i16, bias: &Sums, out: &mut [[__m256i; 2]; MR]) {
    // SAFETY: the bias holds 16 numbers; the rest is what the caller promises.
    unsafe {
        let start = [_mm256_loadu_si256(bias.as_ptr().cast()), _mm256_loadu_si256(bias.as_ptr().add(8).cast())];
        let mut sums = [start; MR];
        for &run in places.runs() {
            let x: [*const i16; MR] = std::array::from_fn(|i| base[i].add(run));
            let mut q = 0;
            // Two steps at once halve the cost of counting.
            while q + 4 <= places.run() {
                step(&x, q, w, &mut sums);
                step(&x, q + 2, w.add(2 * NR), &mut sums);
                w = w.add(4 * NR);
                q += 4;
            }
            if q < places.run() {
                step(&x, q, w, &mut sums);
                w = w.add(2 * NR);
            }
        }
        *out = sums;
    }
}

/// Adds the products of one pair of elements of every pixel.
///
/// # Safety
/// The pair at `q` of every pixel and 2·NR weights may be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn step(x: &[*const i16; MR], q: usize, w: *const i16, sums: &mut [[__m256i; 2]; MR]) {
    // SAFETY: what the caller promises.
    unsafe {
        let w0 = _mm256_loadu_si256(w.cast());
        let w1 = _mm256_loadu_si256(w.add(NR).cast());
        for i in 0..MR {
            let pair = _mm256_set1_epi32(x[i].add(q).cast::<i32>().read_unaligned());
            sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(pair, w0));
            sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(pair, w1));
        }
    }
}

//! The integer tile by `vpdpbusd`: four products of unsigned and signed bytes are added to 32 bits without saturation,
//! so the sum is exact.
#![allow(unsafe_code)]

use super::avx2::finish::store_row;
use super::finish::Target;
use super::tile::{NR, Places, Sums};
use crate::Isa;
use std::arch::x86_64::*;

/// One panel over the first `pixels` pixels.
pub(super) fn panel(
    isa: Isa,
    x: &[u8],
    places: &Places,
    pixels: usize,
    w: &[i8],
    bias: &Sums,
    target: &mut Target<'_>,
) {
    assert!(isa.quads());
    assert!(places.run().is_multiple_of(4) && w.len() >= places.depth() * NR, "weights are too short");
    assert!(pixels == 0 || places.reach(pixels) <= x.len(), "a window leaves the strip");
    assert!(target.holds(pixels), "the result is too short");
    // SAFETY: the instructions are present, and the bounds that the functions ask for hold (all checked).
    unsafe {
        if isa.avx512_vnni() {
            super::vnni512::panel(x, places, pixels, w, bias, target);
        } else {
            panel_256(x, places, pixels, w, bias, target);
        }
    }
}

/// Pixels of a tile of 256-bit registers.
const MR_256: usize = 6;

/// # Safety
/// Every run of the first `pixels` pixels is in `x`, `w` has `NR` weights for each element, `target` holds the rows.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn panel_256(x: &[u8], places: &Places, pixels: usize, w: &[i8], bias: &Sums, target: &mut Target<'_>) {
    let corners = &places.corners()[..pixels];
    let mut sums = [[_mm256_setzero_si256(); 2]; MR_256];
    for first in (0..pixels).step_by(MR_256) {
        let base = std::array::from_fn(|i| {
            // SAFETY: corners lie in x.
            unsafe { x.as_ptr().add(corners[(first + i).min(pixels - 1)]) }
        });
        // SAFETY: what the caller promises.
        unsafe {
            tile_256(&base, places, w.as_ptr(), bias, &mut sums);
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
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn tile_256(
    base: &[*const u8; MR_256],
    places: &Places,
    mut w: *const i8,
    bias: &Sums,
    out: &mut [[__m256i; 2]; MR_256],
) {
    // SAFETY: the bias holds 16 numbers; the rest is what the caller promises.
    unsafe {
        let start = [_mm256_loadu_si256(bias.as_ptr().cast()), _mm256_loadu_si256(bias.as_ptr().add(8).cast())];
        let mut sums = [start; MR_256];
        for &run in places.runs() {
            let x: [*const u8; MR_256] = std::array::from_fn(|i| base[i].add(run));
            let mut q = 0;
            while q < places.run() {
                let w0 = _mm256_loadu_si256(w.cast());
                let w1 = _mm256_loadu_si256(w.add(2 * NR).cast());
                for i in 0..MR_256 {
                    let quad = _mm256_set1_epi32(x[i].add(q).cast::<i32>().read_unaligned());
                    sums[i][0] = _mm256_dpbusd_avx_epi32(sums[i][0], quad, w0);
                    sums[i][1] = _mm256_dpbusd_avx_epi32(sums[i][1], quad, w1);
                }
                w = w.add(4 * NR);
                q += 4;
            }
        }
        *out = sums;
    }
}

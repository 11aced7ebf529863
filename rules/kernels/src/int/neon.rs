//! The integer tile by `sdot` of aarch64: four products of signed bytes are added to 32 bits without saturation.
//!
//! Pixels are unsigned bytes. With `x = x' + 128`, where `x'` is the byte with its top bit turned over and read as signed,
//! `Σ x·w = Σ x'·w + 128·Σ w`: the second sum belongs to the panel and is added to the bias. All of it modulo 2^32, so the bits are
//! those of the definition.
#![allow(unsafe_code)]

use super::finish::Target;
use super::tile::{NR, Places, Sums};
use crate::Isa;
use std::arch::aarch64::*;
use std::arch::asm;

/// Pixels of a tile: with four registers of sums each, and four of weights, they fill the register file.
const MR: usize = 6;

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
    let start = start(&w[..places.depth() * NR], bias);
    let corners = &places.corners()[..pixels];
    for first in (0..pixels).step_by(MR) {
        let base = std::array::from_fn(|i| x[corners[(first + i).min(pixels - 1)]..].as_ptr());
        // SAFETY: the instruction is present, and windows and weights are long enough (all checked above).
        let sums = unsafe { tile(&base, places, w.as_ptr(), &start) };
        for (i, sums) in sums.iter().enumerate().take(pixels - first) {
            target.store(first + i, sums);
        }
    }
}

/// The bias and `128·Σ w` of each filter; weights lie as `[depth / 4][NR][4]`.
fn start(w: &[i8], bias: &Sums) -> Sums {
    let mut start = *bias;
    for quads in w.chunks_exact(4 * NR) {
        for (sum, quad) in start.iter_mut().zip(quads.chunks_exact(4)) {
            let total: i32 = quad.iter().map(|&v| i32::from(v)).sum();
            *sum = sum.wrapping_add(128 * total);
        }
    }
    start
}

/// # Safety
/// Every run of the pixels at `base` may be read, `w` has `NR` weights for each element, the processor has `sdot`.
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile(base: &[*const u8; MR], places: &Places, mut w: *const i8, start: &Sums) -> [Sums; MR] {
    // SAFETY: the bias holds 16 numbers; the rest is what the caller promises.
    unsafe {
        let first: [int32x4_t; 4] = std::array::from_fn(|k| vld1q_s32(start.as_ptr().add(4 * k)));
        let mut sums = [first; MR];
        let turned = vdupq_n_u32(0x8080_8080);
        for &run in places.runs() {
            let x: [*const u8; MR] = std::array::from_fn(|i| base[i].add(run));
            let mut q = 0;
            while q < places.run() {
                let weights: [int8x16_t; 4] = std::array::from_fn(|k| vld1q_s8(w.add(16 * k)));
                for i in 0..MR {
                    let quad = vdupq_n_u32(x[i].add(q).cast::<u32>().read_unaligned());
                    let quad = vreinterpretq_s8_u32(veorq_u32(quad, turned));
                    for k in 0..4 {
                        sums[i][k] = dot(sums[i][k], weights[k], quad);
                    }
                }
                w = w.add(4 * NR);
                q += 4;
            }
        }
        std::array::from_fn(|i| {
            let mut row = [0; NR];
            for k in 0..4 {
                vst1q_s32(row.as_mut_ptr().add(4 * k), sums[i][k]);
            }
            row
        })
    }
}

/// `sum[j] + Σ a[4j + t]·b[4j + t]`. The intrinsic is not stable yet.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes only these registers.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

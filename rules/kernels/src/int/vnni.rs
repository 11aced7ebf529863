//! AVX-512 VNNI version of the integer tile.
#![allow(unsafe_code)]

use super::tile::{Acc, MR, NR};
use crate::Isa;
use std::arch::x86_64::*;

/// [`super::tile::run`] by `vpdpbusd`: four products of unsigned and signed bytes are added to 32 bits without
/// saturation, so the sum is exact.
pub(super) fn tile(isa: Isa, x: &[u8], depth: usize, w: &[i8], acc: &mut Acc) {
    assert!(isa.avx512_vnni());
    assert!(depth.is_multiple_of(4) && x.len() >= MR * depth && w.len() >= depth * NR, "operands are too short");
    // SAFETY: the instructions are present, and the bounds that `tile_vnni` asks for hold (both checked).
    unsafe { tile_vnni(x, depth, w, acc) }
}

/// # Safety
/// `depth` is a multiple of 4, `x` holds `MR·depth` bytes, `w` holds `depth·NR`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile_vnni(x: &[u8], depth: usize, w: &[i8], acc: &mut Acc) {
    let mut sums = [_mm512_setzero_si512(); MR];
    let (x, w) = (x.as_ptr(), w.as_ptr());
    for q in (0..depth).step_by(4) {
        // SAFETY: q + 4 <= depth, so the four bytes of every pixel and the 4·NR weights exist.
        unsafe {
            let weights = _mm512_loadu_si512(w.add(q * NR).cast());
            for i in 0..MR {
                let quad = _mm512_set1_epi32(x.add(i * depth + q).cast::<i32>().read_unaligned());
                sums[i] = _mm512_dpbusd_epi32(sums[i], quad, weights);
            }
        }
    }
    for i in 0..MR {
        // SAFETY: a row of accumulators holds NR = 16 elements.
        unsafe { _mm512_storeu_si512(acc[i].as_mut_ptr().cast(), sums[i]) };
    }
}

//! [`Places::find`](super::Places::find) with the vector instructions of x86-64: places of a vector are found together, then those that
//! go on the run before are squeezed out.
#![allow(unsafe_code)]

use super::{MAGNITUDE, Places, Run, Search};
use crate::Isa;
use crate::vectorized::{AHEAD, prefetch};
use std::arch::x86_64::*;

impl Search {
    /// Whole vectors of numbers with AVX2, or AVX-512 where it is to be used; what is left is returned.
    ///
    /// # Panics
    /// When `runs` is not longer than `values` by [`Places::SPARE`], or AVX2 is not there.
    pub(super) fn x86<'v>(&mut self, table: Places, isa: Isa, values: &'v [f32], runs: &mut [Run]) -> &'v [f32] {
        assert!(isa.avx2() && runs.len() >= values.len() + Places::SPARE);
        if isa.avx512_vnni() {
            let (wide, rest) = values.as_chunks();
            // SAFETY: AVX-512 F, BW and VL are present, there is room for the runs (checked).
            unsafe { self.avx512(table, wide, runs) };
            rest
        } else {
            let (wide, rest) = values.as_chunks();
            // SAFETY: AVX2 is present, there is room for the runs (checked).
            unsafe { self.avx2(table, wide, runs) };
            rest
        }
    }

    /// # Safety
    /// `runs` must be longer than the numbers are by [`Places::SPARE`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn avx512(&mut self, table: Places, values: &[[f32; 16]], runs: &mut [Run]) {
        let mut min = _mm512_set1_ps(self.min);
        let mut max = _mm512_set1_ps(self.max);
        let mut largest = _mm512_set1_epi32(self.largest as i32);
        let magnitude = _mm512_set1_epi32(MAGNITUDE as i32);
        let shift = _mm_cvtsi32_si128(table.shift as i32);
        let first = _mm512_set1_epi32(table.first as i32);
        let last = _mm512_set1_epi32(table.bins as i32 - 1);
        let bins = _mm512_set1_epi32(table.bins as i32);
        let none = _mm512_set1_epi32(Places::NONE.into());
        let mut before = _mm512_set1_epi32(self.before as i32);
        let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let mut starts = _mm512_slli_epi32::<16>(lanes);
        for v in values {
            prefetch(v.as_ptr().wrapping_add(AHEAD));
            // SAFETY: sixteen numbers are there.
            let x = unsafe { _mm512_loadu_ps(v.as_ptr()) };
            min = _mm512_min_ps(x, min);
            max = _mm512_max_ps(x, max);
            let bits = _mm512_castps_si512(x);
            let positive = _mm512_and_si512(bits, magnitude);
            largest = _mm512_max_epu32(largest, positive);
            let key = _mm512_srl_epi32(positive, shift);
            let bin = _mm512_min_epu32(_mm512_sub_epi32(key, first), last);
            let negative = _mm512_cmplt_epi32_mask(bits, _mm512_setzero_si512());
            let place = _mm512_mask_add_epi32(bin, negative, bin, bins);
            let place = _mm512_mask_mov_epi32(place, _mm512_cmplt_epu32_mask(key, first), none);
            let new = _mm512_cmpneq_epi32_mask(place, _mm512_alignr_epi32::<15>(place, before));
            let squeezed = _mm512_maskz_compress_epi32(new, _mm512_or_si512(place, starts));
            // SAFETY: at most as many runs as numbers lie before, and sixteen fit behind.
            unsafe { _mm512_storeu_si512(runs.as_mut_ptr().add(self.runs).cast(), squeezed) };
            self.runs += new.count_ones() as usize;
            before = place;
            starts = _mm512_add_epi32(starts, _mm512_set1_epi32(16 << 16));
        }
        self.min = _mm512_reduce_min_ps(min);
        self.max = _mm512_reduce_max_ps(max);
        self.largest = _mm512_reduce_max_epu32(largest);
        self.before = _mm_extract_epi32::<3>(_mm512_extracti32x4_epi32::<3>(before)) as u32;
    }

    /// # Safety
    /// `runs` must be longer than the numbers are by [`Places::SPARE`].
    #[target_feature(enable = "avx2")]
    unsafe fn avx2(&mut self, table: Places, values: &[[f32; 8]], runs: &mut [Run]) {
        let mut min = _mm256_set1_ps(self.min);
        let mut max = _mm256_set1_ps(self.max);
        let mut largest = _mm256_set1_epi32(self.largest as i32);
        let magnitude = _mm256_set1_epi32(MAGNITUDE as i32);
        let shift = _mm_cvtsi32_si128(table.shift as i32);
        let first = _mm256_set1_epi32(table.first as i32);
        let last = _mm256_set1_epi32(table.bins as i32 - 1);
        let bins = _mm256_set1_epi32(table.bins as i32);
        let none = _mm256_set1_epi32(Places::NONE.into());
        let mut before = _mm256_set1_epi32(self.before as i32);
        let turned = _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6);
        let mut starts = _mm256_slli_epi32::<16>(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        for v in values {
            prefetch(v.as_ptr().wrapping_add(AHEAD));
            // SAFETY: eight numbers are there.
            let x = unsafe { _mm256_loadu_ps(v.as_ptr()) };
            min = _mm256_min_ps(x, min);
            max = _mm256_max_ps(x, max);
            let bits = _mm256_castps_si256(x);
            let positive = _mm256_and_si256(bits, magnitude);
            largest = _mm256_max_epu32(largest, positive);
            let key = _mm256_srl_epi32(positive, shift);
            // Keys have no sign bit, so that comparing them as signed numbers is right.
            let bin = _mm256_min_epi32(_mm256_sub_epi32(key, first), last);
            let place = _mm256_add_epi32(bin, _mm256_and_si256(_mm256_srai_epi32::<31>(bits), bins));
            let place = _mm256_blendv_epi8(place, none, _mm256_cmpgt_epi32(first, key));
            let follows = _mm256_permutevar8x32_epi32(place, turned);
            let same = _mm256_cmpeq_epi32(place, _mm256_blend_epi32::<1>(follows, before));
            let new = !_mm256_movemask_ps(_mm256_castsi256_ps(same)) as usize & 0xff;
            // SAFETY: eight bytes are there.
            let kept = unsafe { _mm_loadl_epi64(SQUEEZE[new].as_ptr().cast()) };
            let squeezed = _mm256_permutevar8x32_epi32(_mm256_or_si256(place, starts), _mm256_cvtepu8_epi32(kept));
            // SAFETY: at most as many runs as numbers lie before, and sixteen fit behind.
            unsafe { _mm256_storeu_si256(runs.as_mut_ptr().add(self.runs).cast(), squeezed) };
            self.runs += new.count_ones() as usize;
            before = follows;
            starts = _mm256_add_epi32(starts, _mm256_set1_epi32(8 << 16));
        }
        let mut lanes = [[0f32; 8]; 2];
        let mut magnitudes = [0u32; 8];
        // SAFETY: eight lanes fit into each.
        unsafe {
            _mm256_storeu_ps(lanes[0].as_mut_ptr(), min);
            _mm256_storeu_ps(lanes[1].as_mut_ptr(), max);
            _mm256_storeu_si256(magnitudes.as_mut_ptr().cast(), largest);
        }
        self.min = lanes[0].into_iter().fold(self.min, |a, b| if b < a { b } else { a });
        self.max = lanes[1].into_iter().fold(self.max, |a, b| if b > a { b } else { a });
        self.largest = magnitudes.into_iter().fold(self.largest, u32::max);
        self.before = _mm256_extract_epi32::<0>(before) as u32;
    }
}

/// For each set of lanes of eight that stay, the lane that each of the first comes from.
static SQUEEZE: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut kept = 0;
    while kept < 256 {
        let (mut lane, mut to) = (0, 0);
        while lane < 8 {
            if kept >> lane & 1 == 1 {
                table[kept][to] = lane as u8;
                to += 1;
            }
            lane += 1;
        }
        kept += 1;
    }
    table
};

//! [`Places::find`] with the vector instructions of x86-64: places of a vector are found together, then those that are none are
//! squeezed out.
#![allow(unsafe_code)]

use super::{Found, MAGNITUDE, Places, Search};
use crate::Isa;
use crate::vectorized::{AHEAD, prefetch};
use std::arch::x86_64::*;

/// `None` where neither AVX-512 nor AVX2 is to be used. `places` must be longer than `values` by [`Places::SPARE`].
pub(super) fn find(table: Places, isa: Isa, values: &[f32], places: &mut [u16]) -> Option<Option<Found>> {
    assert!(places.len() >= values.len() + Places::SPARE);
    if isa.avx512_vnni() {
        // SAFETY: AVX-512 F, BW and VL are present, places are enough (checked).
        Some(unsafe { find_avx512(table, values, places) })
    } else if isa.avx2() {
        // SAFETY: AVX2 is present, places are enough (checked).
        Some(unsafe { find_avx2(table, values, places) })
    } else {
        None
    }
}

/// # Safety
/// `places` must be longer than `values` by [`Places::SPARE`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn find_avx512(table: Places, values: &[f32], places: &mut [u16]) -> Option<Found> {
    let (wide, rest) = values.as_chunks::<16>();
    let mut min = _mm512_set1_ps(f32::INFINITY);
    let mut max = _mm512_set1_ps(f32::NEG_INFINITY);
    let mut largest = _mm512_setzero_si512();
    let magnitude = _mm512_set1_epi32(MAGNITUDE as i32);
    let shift = _mm_cvtsi32_si128(table.shift as i32);
    let first = _mm512_set1_epi32(table.first as i32);
    let last = _mm512_set1_epi32(table.bins as i32 - 1);
    let bins = _mm512_set1_epi32(table.bins as i32);
    let mut count = 0;
    for v in wide {
        prefetch(v.as_ptr().wrapping_add(AHEAD));
        // SAFETY: sixteen numbers are there.
        let x = unsafe { _mm512_loadu_ps(v.as_ptr()) };
        min = _mm512_min_ps(x, min);
        max = _mm512_max_ps(x, max);
        let bits = _mm512_castps_si512(x);
        let positive = _mm512_and_si512(bits, magnitude);
        largest = _mm512_max_epu32(largest, positive);
        let key = _mm512_srl_epi32(positive, shift);
        let kept = _mm512_cmpge_epu32_mask(key, first);
        let bin = _mm512_min_epu32(_mm512_sub_epi32(key, first), last);
        let negative = _mm512_cmplt_epi32_mask(bits, _mm512_setzero_si512());
        let place = _mm512_mask_add_epi32(bin, negative, bin, bins);
        let squeezed = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(kept, place));
        // SAFETY: at most as many places as numbers lie before, and sixteen fit behind.
        unsafe { _mm256_storeu_si256(places.as_mut_ptr().add(count).cast(), squeezed) };
        count += kept.count_ones() as usize;
    }
    let mut search = Search {
        min: _mm512_reduce_min_ps(min),
        max: _mm512_reduce_max_ps(max),
        largest: _mm512_reduce_max_epu32(largest),
        count,
    };
    search.each(table, rest, places);
    search.found()
}

/// For each set of lanes of eight that stay, the lane that each place comes from.
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

/// # Safety
/// `places` must be longer than `values` by [`Places::SPARE`].
#[target_feature(enable = "avx2")]
unsafe fn find_avx2(table: Places, values: &[f32], places: &mut [u16]) -> Option<Found> {
    let (wide, rest) = values.as_chunks::<8>();
    let mut min = _mm256_set1_ps(f32::INFINITY);
    let mut max = _mm256_set1_ps(f32::NEG_INFINITY);
    let mut largest = _mm256_setzero_si256();
    let magnitude = _mm256_set1_epi32(MAGNITUDE as i32);
    let shift = _mm_cvtsi32_si128(table.shift as i32);
    let first = _mm256_set1_epi32(table.first as i32);
    let last = _mm256_set1_epi32(table.bins as i32 - 1);
    let bins = _mm256_set1_epi32(table.bins as i32);
    let mut count = 0;
    for v in wide {
        prefetch(v.as_ptr().wrapping_add(AHEAD));
        // SAFETY: eight numbers are there.
        let x = unsafe { _mm256_loadu_ps(v.as_ptr()) };
        min = _mm256_min_ps(x, min);
        max = _mm256_max_ps(x, max);
        let bits = _mm256_castps_si256(x);
        let positive = _mm256_and_si256(bits, magnitude);
        largest = _mm256_max_epu32(largest, positive);
        let key = _mm256_srl_epi32(positive, shift);
        // Keys have no sign bit, so comparing them as signed numbers is right; so is it for their differences from `first`.
        let bin = _mm256_min_epi32(_mm256_sub_epi32(key, first), last);
        let kept = !_mm256_movemask_ps(_mm256_castsi256_ps(bin)) as usize & 0xff;
        let place = _mm256_add_epi32(bin, _mm256_and_si256(_mm256_srai_epi32::<31>(bits), bins));
        // SAFETY: eight bytes are there.
        let lanes = unsafe { _mm_loadl_epi64(SQUEEZE[kept].as_ptr().cast()) };
        let squeezed = _mm256_permutevar8x32_epi32(place, _mm256_cvtepu8_epi32(lanes));
        let halves = (_mm256_castsi256_si128(squeezed), _mm256_extracti128_si256::<1>(squeezed));
        let narrow = _mm_packus_epi32(halves.0, halves.1);
        // SAFETY: at most as many places as numbers lie before, and sixteen fit behind.
        unsafe { _mm_storeu_si128(places.as_mut_ptr().add(count).cast(), narrow) };
        count += kept.count_ones() as usize;
    }
    let lanes = |x: __m256| {
        let mut lanes = [0f32; 8];
        // SAFETY: eight lanes fit.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), x) };
        lanes
    };
    let mut search = Search::new();
    search.min = lanes(min).into_iter().fold(search.min, |a, b| if b < a { b } else { a });
    search.max = lanes(max).into_iter().fold(search.max, |a, b| if b > a { b } else { a });
    let mut magnitudes = [0u32; 8];
    // SAFETY: eight lanes fit.
    unsafe { _mm256_storeu_si256(magnitudes.as_mut_ptr().cast(), largest) };
    search.largest = magnitudes.into_iter().max().unwrap_or(0);
    search.count = count;
    search.each(table, rest, places);
    search.found()
}

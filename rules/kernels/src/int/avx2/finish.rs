//! From sums in registers to bytes or memory: sixteen columns of one row.

use crate::int::finish::{Entries, Kind, Range, Target};
use crate::int::tile::NR;
use std::arch::x86_64::*;

/// Stores row `row`: columns 0 to 7 in `low`, 8 to 15 in `high`.
///
/// # Safety
/// AVX2 is present and the target holds the row.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn store_row(target: &mut Target<'_>, row: usize, low: __m256i, high: __m256i) {
    let at = row * target.stride;
    match &mut target.kind {
        Kind::Sums(out) => {
            let mut sums = [0i32; NR];
            // SAFETY: a row of sums holds 16 elements.
            unsafe {
                _mm256_storeu_si256(sums.as_mut_ptr().cast(), low);
                _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast(), high);
            }
            out[at..at + target.columns].copy_from_slice(&sums[..target.columns]);
        }
        Kind::Bytes(entries, range, out) => {
            let bytes = match entries {
                Entries::Float(m) => float(low, high, m, *range),
                Entries::Fixed(mult, shift) => fixed(low, high, mult, shift, *range),
            };
            // SAFETY: the target holds `columns` bytes of the row (the caller's promise).
            unsafe { store_bytes(bytes, out.as_mut_ptr().add(at), target.columns) };
        }
    }
}

/// Stores the first `columns` of sixteen bytes.
///
/// # Safety
/// `out` is valid for `columns <= 16` bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn store_bytes(bytes: __m128i, out: *mut u8, columns: usize) {
    // SAFETY: exactly `columns` bytes are written.
    unsafe {
        match columns {
            16 => _mm_storeu_si128(out.cast(), bytes),
            8 => _mm_storel_epi64(out.cast(), bytes),
            _ => {
                let mut row = [0u8; NR];
                _mm_storeu_si128(row.as_mut_ptr().cast(), bytes);
                for (i, b) in row[..columns].iter().enumerate() {
                    out.add(i).write(*b);
                }
            }
        }
    }
}

/// Sixteen sums times float multipliers, as bytes. Bounding the product by the whole numbers `lo - zero` and `hi - zero`
/// before rounding is the same as bounding the rounded number, because rounding is monotone and keeps whole numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn float(low: __m256i, high: __m256i, m: &[f32; NR], range: Range) -> __m128i {
    // SAFETY: m holds 16 numbers.
    let (m0, m1) = unsafe { (_mm256_loadu_ps(m.as_ptr()), _mm256_loadu_ps(m.as_ptr().add(8))) };
    let (lo, hi) = (_mm256_set1_ps((range.lo - range.zero) as f32), _mm256_set1_ps((range.hi - range.zero) as f32));
    let rounded = |sum: __m256i, m: __m256| {
        let product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), m);
        // The conversion rounds to nearest, ties to even: the processor's mode, which Rust code may not change.
        _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(product, lo), hi))
    };
    let zero = _mm256_set1_epi32(range.zero);
    bytes(_mm256_add_epi32(rounded(low, m0), zero), _mm256_add_epi32(rounded(high, m1), zero))
}

/// Sixteen sums in fixed point, as bytes; shifts are at most 62.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn fixed(low: __m256i, high: __m256i, mult: &[i32; NR], shift: &[i32; NR], range: Range) -> __m128i {
    let half = |sum: __m256i, h: usize| {
        // SAFETY: both hold 16 numbers and h is 0 or 8.
        let (mult, shift) = unsafe {
            (_mm256_loadu_si256(mult.as_ptr().add(h).cast()), _mm256_loadu_si256(shift.as_ptr().add(h).cast()))
        };
        let low_half = _mm256_set1_epi64x(0xffff_ffff);
        let even = round_away(_mm256_mul_epi32(sum, mult), _mm256_and_si256(shift, low_half));
        let odd_product = _mm256_mul_epi32(_mm256_srli_epi64::<32>(sum), _mm256_srli_epi64::<32>(mult));
        let odd = round_away(odd_product, _mm256_srli_epi64::<32>(shift));
        let rounded = _mm256_blend_epi32::<0b1010_1010>(even, _mm256_slli_epi64::<32>(odd));
        // The sum cannot overflow: |rounded| <= 2^30, |zero| <= 2^16.
        let (zero, lo, hi) = (_mm256_set1_epi32(range.zero), _mm256_set1_epi32(range.lo), _mm256_set1_epi32(range.hi));
        _mm256_min_epi32(_mm256_max_epi32(_mm256_add_epi32(rounded, zero), lo), hi)
    };
    bytes(half(low, 0), half(high, 8))
}

/// `p / 2^shift` half away from zero in each 64-bit lane, bounded to ±2^30 (the result is clamped to a byte anyway).
#[inline]
#[target_feature(enable = "avx2")]
fn round_away(p: __m256i, shift: __m256i) -> __m256i {
    let sign = _mm256_cmpgt_epi64(_mm256_setzero_si256(), p);
    let magnitude = _mm256_sub_epi64(_mm256_xor_si256(p, sign), sign);
    let half = _mm256_srli_epi64::<1>(_mm256_sllv_epi64(_mm256_set1_epi64x(1), shift));
    let rounded = _mm256_srlv_epi64(_mm256_add_epi64(magnitude, half), shift);
    let bound = _mm256_set1_epi64x(1 << 30);
    let bounded = _mm256_blendv_epi8(rounded, bound, _mm256_cmpgt_epi64(rounded, bound));
    _mm256_sub_epi64(_mm256_xor_si256(bounded, sign), sign)
}

/// The low bytes of sixteen numbers from -128 to 255.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(low: __m256i, high: __m256i) -> __m128i {
    // The pack leaves each quarter of its operands together: 0..4, 8..12, 4..8, 12..16.
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
    let words = _mm256_and_si256(words, _mm256_set1_epi16(0xff));
    _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
}

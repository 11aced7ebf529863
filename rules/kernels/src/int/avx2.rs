//! AVX2 versions of the integer kernels.
#![allow(unsafe_code)]

use super::depthwise::Taps;
use super::finish::Range;
use super::tile::{Acc, MR, NR};
use crate::Isa;
use crate::requant::FLOAT_BOUND;
use std::arch::x86_64::*;

/// [`super::tile::run`] by `vpmaddwd` on widened pairs. A product of widened 8-bit numbers is at most 2^15 in
/// magnitude, so a pair's sum is exact in 32 bits.
pub(super) fn tile(isa: Isa, x: &[i16], depth: usize, w: &[i16], acc: &mut Acc) {
    assert!(isa.avx2());
    assert!(depth.is_multiple_of(2) && x.len() >= MR * depth && w.len() >= depth * NR, "operands are too short");
    // SAFETY: AVX2 is present, and the bounds that `tile_avx2` asks for hold (both checked).
    unsafe { tile_avx2(x, depth, w, acc) }
}

/// # Safety
/// `depth` is even, `x` holds `MR·depth` elements, `w` holds `depth·NR`.
#[target_feature(enable = "avx2")]
unsafe fn tile_avx2(x: &[i16], depth: usize, w: &[i16], acc: &mut Acc) {
    let mut sums = [[_mm256_setzero_si256(); 2]; MR];
    let (x, w) = (x.as_ptr(), w.as_ptr());
    for q in (0..depth).step_by(2) {
        // SAFETY: q + 2 <= depth, so the pair of every pixel and the 2·NR weights exist.
        unsafe {
            let w0 = _mm256_loadu_si256(w.add(q * NR).cast());
            let w1 = _mm256_loadu_si256(w.add(q * NR + NR).cast());
            for i in 0..MR {
                let pair = _mm256_set1_epi32(x.add(i * depth + q).cast::<i32>().read_unaligned());
                sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(pair, w0));
                sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(pair, w1));
            }
        }
    }
    for i in 0..MR {
        // SAFETY: a row of accumulators holds NR = 16 elements.
        unsafe {
            _mm256_storeu_si256(acc[i].as_mut_ptr().cast(), sums[i][0]);
            _mm256_storeu_si256(acc[i].as_mut_ptr().add(8).cast(), sums[i][1]);
        }
    }
}

/// The sums of [`super::depthwise::Depthwise::block`]: 16 channels of one pixel, taps two by two.
pub(super) fn taps(isa: Isa, signed: bool, x: &[u8], base: usize, taps: &Taps, w: &[i16], acc: &mut [i32; NR]) {
    assert!(isa.avx2());
    assert!(w.len() >= taps.offsets().len() * NR, "weights are too short");
    assert!(base + taps.reach() + NR <= x.len(), "a tap leaves the image");
    // SAFETY: AVX2 is present, and the bounds that `taps_avx2` asks for hold (both checked; `Taps` guarantees an even
    // number of offsets up to its reach).
    unsafe {
        if signed {
            taps_avx2::<true>(&x[base..], taps.offsets(), w, acc);
        } else {
            taps_avx2::<false>(&x[base..], taps.offsets(), w, acc);
        }
    }
}

/// # Safety
/// The number of taps is even, `x` holds `NR` bytes at every tap, `w` holds `NR` numbers for every tap.
#[target_feature(enable = "avx2")]
unsafe fn taps_avx2<const SIGNED: bool>(x: &[u8], taps: &[usize], w: &[i16], acc: &mut [i32; NR]) {
    let load = |at: usize| {
        // SAFETY: x holds NR bytes at every tap.
        let bytes = unsafe { _mm_loadu_si128(x.as_ptr().add(at).cast()) };
        if SIGNED { _mm256_cvtepi8_epi16(bytes) } else { _mm256_cvtepu8_epi16(bytes) }
    };
    let mut even = _mm256_setzero_si256();
    let mut odd = _mm256_setzero_si256();
    for (t, pair) in taps.chunks_exact(2).enumerate() {
        let (a, b) = (load(pair[0]), load(pair[1]));
        // SAFETY: w holds 2·NR numbers for this pair of taps.
        let (wl, wh) = unsafe {
            let w = w.as_ptr().add(t * 2 * NR);
            (_mm256_loadu_si256(w.cast()), _mm256_loadu_si256(w.add(NR).cast()))
        };
        even = _mm256_add_epi32(even, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), wl));
        odd = _mm256_add_epi32(odd, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), wh));
    }
    // `even` holds channels 0..4 and 8..12, `odd` holds 4..8 and 12..16.
    // SAFETY: acc holds NR = 16 elements.
    unsafe {
        _mm256_storeu_si256(acc.as_mut_ptr().cast(), _mm256_permute2x128_si256::<0x20>(even, odd));
        _mm256_storeu_si256(acc.as_mut_ptr().add(8).cast(), _mm256_permute2x128_si256::<0x31>(even, odd));
    }
}

/// One row of [`super::finish::Finish`] with float multipliers, which are finite.
pub(super) fn finish_float(
    isa: Isa,
    acc: &[i32; NR],
    bias: &[i32; NR],
    m: &[f32; NR],
    range: Range,
    out: &mut [u8; NR],
) {
    assert!(isa.avx2());
    // SAFETY: AVX2 is present (checked).
    unsafe { finish_float_avx2(acc, bias, m, range, out) }
}

#[target_feature(enable = "avx2")]
fn finish_float_avx2(acc: &[i32; NR], bias: &[i32; NR], m: &[f32; NR], range: Range, out: &mut [u8; NR]) {
    let bound = _mm256_set1_ps(FLOAT_BOUND);
    let low = _mm256_set1_ps(-FLOAT_BOUND);
    let half = |h: usize| {
        let sum = _mm256_add_epi32(load_i32(acc, h), load_i32(bias, h));
        // SAFETY: m holds 16 numbers and h is 0 or 8.
        let m = unsafe { _mm256_loadu_ps(m.as_ptr().add(h)) };
        let product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), m);
        // The conversion rounds to nearest, ties to even: the processor's mode, which Rust code may not change.
        _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(product, low), bound))
    };
    store_bytes(half(0), half(8), range, out);
}

/// One row of [`super::finish::Finish`] in fixed point; shifts are at most 62.
pub(super) fn finish_fixed(
    isa: Isa,
    acc: &[i32; NR],
    bias: &[i32; NR],
    constants: (&[i32; NR], &[i32; NR]),
    range: Range,
    out: &mut [u8; NR],
) {
    assert!(isa.avx2());
    // SAFETY: AVX2 is present (checked).
    unsafe { finish_fixed_avx2(acc, bias, constants, range, out) }
}

#[target_feature(enable = "avx2")]
fn finish_fixed_avx2(
    acc: &[i32; NR],
    bias: &[i32; NR],
    (mult, shift): (&[i32; NR], &[i32; NR]),
    range: Range,
    out: &mut [u8; NR],
) {
    let half = |h: usize| {
        let sum = _mm256_add_epi32(load_i32(acc, h), load_i32(bias, h));
        let (mult, shift) = (load_i32(mult, h), load_i32(shift, h));
        let low_half = _mm256_set1_epi64x(0xffff_ffff);
        let even = round_away(_mm256_mul_epi32(sum, mult), _mm256_and_si256(shift, low_half));
        let odd_product = _mm256_mul_epi32(_mm256_srli_epi64::<32>(sum), _mm256_srli_epi64::<32>(mult));
        let odd = round_away(odd_product, _mm256_srli_epi64::<32>(shift));
        _mm256_blend_epi32::<0b1010_1010>(even, _mm256_slli_epi64::<32>(odd))
    };
    store_bytes(half(0), half(8), range, out);
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

/// Eight numbers from position `h`, 0 or 8.
#[inline]
#[target_feature(enable = "avx2")]
fn load_i32(x: &[i32; NR], h: usize) -> __m256i {
    assert!(h + 8 <= NR);
    // SAFETY: x holds 16 numbers and h + 8 <= 16 (checked).
    unsafe { _mm256_loadu_si256(x.as_ptr().add(h).cast()) }
}

/// `clamp(rounded + zero)` of sixteen numbers as bytes. The sum cannot overflow: |rounded| <= 2^30, |zero| <= 2^16.
#[inline]
#[target_feature(enable = "avx2")]
fn store_bytes(a: __m256i, b: __m256i, range: Range, out: &mut [u8; NR]) {
    let (zero, lo, hi) = (_mm256_set1_epi32(range.zero), _mm256_set1_epi32(range.lo), _mm256_set1_epi32(range.hi));
    let clamp = |v: __m256i| _mm256_min_epi32(_mm256_max_epi32(_mm256_add_epi32(v, zero), lo), hi);
    // The low byte of each number, as unsigned words that the packs below cannot saturate.
    let byte = _mm256_set1_epi32(0xff);
    let words = _mm256_packus_epi32(_mm256_and_si256(clamp(a), byte), _mm256_and_si256(clamp(b), byte));
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
    let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    // SAFETY: out holds 16 bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), bytes) };
}

/// Runs `f` with AVX2 and FMA enabled, so that what is inlined into it is compiled for them.
pub(super) fn with<R>(isa: Isa, f: impl FnOnce() -> R) -> R {
    assert!(isa.avx2());
    // SAFETY: AVX2 and FMA are present (checked).
    unsafe { with_avx2(f) }
}

#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

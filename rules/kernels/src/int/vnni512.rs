//! The integer tile by 512-bit `vpdpbusd`: sixteen filters in one register, up to twelve pixels at once.
#![allow(unsafe_code)]

use super::avx2::finish::{store_bytes, store_row};
use super::finish::{Entries, Kind, Range, Target};
use super::tile::{NR, Places, Sums};
use std::arch::x86_64::*;

/// Pixels of the largest tile.
const MR: usize = 12;

/// # Safety
/// Every run of the first `pixels` pixels is in `x`, `w` has `NR` weights for each element, `target` holds the rows.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn panel(x: &[u8], places: &Places, pixels: usize, w: &[i8], bias: &Sums, target: &mut Target<'_>) {
    let mut first = 0;
    while first < pixels {
        // SAFETY: what the caller promises.
        first += unsafe {
            match pixels - first {
                12.. => tiles::<12, 1>(x, places, first, w, bias, target),
                8.. => tiles::<8, 1>(x, places, first, w, bias, target),
                4.. => tiles::<4, 1>(x, places, first, w, bias, target),
                // Small tiles have several sums a pixel, so that there are always four additions under way.
                2.. => tiles::<2, 2>(x, places, first, w, bias, target),
                _ => tiles::<1, 4>(x, places, first, w, bias, target),
            }
        };
    }
}

/// The tile of `M` pixels from `first` on; returns `M`.
///
/// # Safety
/// As [`panel`], and there are `M` more pixels.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tiles<const M: usize, const W: usize>(
    x: &[u8],
    places: &Places,
    first: usize,
    w: &[i8],
    bias: &Sums,
    target: &mut Target<'_>,
) -> usize {
    // SAFETY: what the caller promises.
    unsafe {
        if places.even(first) >= M {
            tile::<M, W, true>(x, places, first, w, bias, target);
        } else {
            tile::<M, 1, false>(x, places, first, w, bias, target);
        }
    }
    M
}

/// `M` pixels from `first` on, each with `W` sums that are added at the end. A function of its own, so that sums stay in
/// registers. Evenly spaced pixels are reached from four addresses, which registers hold.
///
/// # Safety
/// As [`panel`]; there are `M` more pixels, `EVEN` ones if it says so.
#[inline(never)]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<const M: usize, const W: usize, const EVEN: bool>(
    x: &[u8],
    places: &Places,
    first: usize,
    w: &[i8],
    bias: &Sums,
    target: &mut Target<'_>,
) {
    let corners = &places.corners()[first..first + M];
    let step = if M > 1 { corners[1] - corners[0] } else { 0 };
    let mut w = w.as_ptr();
    let quads = places.run() / 4;
    // SAFETY: the bias holds 16 numbers; the rest is what the caller promises.
    let mut sums = unsafe {
        let mut sums = [[_mm512_setzero_si512(); W]; M];
        for sums in &mut sums {
            sums[0] = _mm512_loadu_si512(bias.as_ptr().cast());
        }
        for &run in places.runs() {
            if EVEN {
                let base = x.as_ptr().add(corners[0] + run);
                let mut x: [*const u8; MR / 3] = std::array::from_fn(|i| base.wrapping_add(3 * i * step));
                let mut q = 0;
                while q + W <= quads {
                    for v in 0..W {
                        let weights = _mm512_loadu_si512(w.add(4 * NR * v).cast());
                        for i in 0..M {
                            let quad = x[i / 3].add(step * (i % 3) + 4 * v).cast::<i32>().read_unaligned();
                            sums[i][v] = _mm512_dpbusd_epi32(sums[i][v], _mm512_set1_epi32(quad), weights);
                        }
                    }
                    w = w.add(4 * NR * W);
                    x = x.map(|x| x.wrapping_add(4 * W));
                    q += W;
                }
                while q < quads {
                    let weights = _mm512_loadu_si512(w.cast());
                    for i in 0..M {
                        let quad = x[i / 3].add(step * (i % 3)).cast::<i32>().read_unaligned();
                        sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], _mm512_set1_epi32(quad), weights);
                    }
                    w = w.add(4 * NR);
                    x = x.map(|x| x.wrapping_add(4));
                    q += 1;
                }
            } else {
                let x: [*const u8; M] = std::array::from_fn(|i| x.as_ptr().wrapping_add(corners[i] + run));
                for q in 0..quads {
                    let weights = _mm512_loadu_si512(w.cast());
                    for i in 0..M {
                        let quad = x[i].add(4 * q).cast::<i32>().read_unaligned();
                        sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], _mm512_set1_epi32(quad), weights);
                    }
                    w = w.add(4 * NR);
                }
            }
        }
        sums
    };
    for i in 0..M {
        for v in 1..W {
            sums[i][0] = _mm512_add_epi32(sums[i][0], sums[i][v]);
        }
    }
    if let Kind::Bytes(Entries::Float(m), range, out) = &mut target.kind {
        let out = out.as_mut_ptr().wrapping_add(first * target.stride);
        for i in 0..M {
            // SAFETY: the target holds `columns` bytes of each row.
            unsafe { store_bytes(float(sums[i][0], m, *range), out.add(i * target.stride), target.columns) };
        }
        return;
    }
    for i in 0..M {
        let (low, high) = (_mm512_castsi512_si256(sums[i][0]), _mm512_extracti64x4_epi64::<1>(sums[i][0]));
        // SAFETY: the target holds the rows.
        unsafe { store_row(target, first + i, low, high) };
    }
}

/// Sixteen sums times float multipliers, as bytes; bounded before they are rounded as in the AVX2 version.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn float(sums: __m512i, m: &[f32; NR], range: Range) -> __m128i {
    // SAFETY: m holds 16 numbers.
    let m = unsafe { _mm512_loadu_ps(m.as_ptr()) };
    let lo = _mm512_set1_ps((range.lo - range.zero) as f32);
    let hi = _mm512_set1_ps((range.hi - range.zero) as f32);
    let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), m);
    // The conversion rounds to nearest, ties to even: the processor's mode, which Rust code may not change.
    let rounded = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(product, lo), hi));
    _mm512_cvtepi32_epi8(_mm512_add_epi32(rounded, _mm512_set1_epi32(range.zero)))
}

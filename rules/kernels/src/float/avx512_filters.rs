//! Convolutions of few pixels with AVX-512: filters along the lanes, up to 13 pixels at once, results turned round in
//! registers. Each result is the same chain as in the scalar version (tested).
#![allow(unsafe_code)]

use super::tile::NR;
use crate::{Isa, parallel};
use std::arch::x86_64::*;
use std::ops::Range;

/// Pixels of the largest tile.
const PIXELS: usize = 13;

/// Pixels in tiles of nearly equal size.
#[derive(Clone, Copy)]
struct Tiles {
    pixels: usize,
    count: usize,
}

impl Tiles {
    fn new(pixels: usize) -> Tiles {
        Tiles { pixels, count: pixels.div_ceil(PIXELS) }
    }

    /// Pixels of tile `t`.
    fn of(self, t: usize) -> Range<usize> {
        t * self.pixels / self.count..(t + 1) * self.pixels / self.count
    }
}

/// Elements of the packed windows of `pixels` pixels.
pub(super) fn packed_len(pixels: usize, k: usize) -> usize {
    Tiles::new(pixels).count * k * PIXELS
}

/// Packs windows as tiles `[k][pixels of the tile]`, each in room for `k · PIXELS`: step `q` of a pixel is at
/// `data[offsets[q] + corners[pixel]]`.
pub(super) fn pack(isa: Isa, threads: usize, data: &[f32], offsets: &[usize], corners: &[usize], out: &mut [f32]) {
    assert!(isa.avx512_vnni());
    let (tiles, k) = (Tiles::new(corners.len()), offsets.len());
    let largest = |list: &[usize]| list.iter().copied().max().unwrap_or(0);
    assert!(largest(offsets) + largest(corners) < data.len(), "a window leaves the planes");
    parallel::split(threads, k * corners.len(), out, k * PIXELS, |first, out| {
        for (t, tile) in out.chunks_exact_mut(k * PIXELS).enumerate() {
            let corners = &corners[tiles.of(first + t)];
            // SAFETY: AVX-512 F is present, windows lie in the planes, and the tile has room (checked; a tile has at most
            // PIXELS pixels).
            unsafe { pack_tile(data, offsets, corners, tile) };
        }
    });
}

/// # Safety
/// Every sum of an offset and a corner is in `data`; `out` has room for `PIXELS` elements a step.
#[target_feature(enable = "avx512f")]
unsafe fn pack_tile(data: &[f32], offsets: &[usize], corners: &[usize], out: &mut [f32]) {
    // Runs of neighbours: from which pixel on, and which lanes.
    let mut runs: Vec<(usize, __mmask16)> = Vec::new();
    let mut first = 0;
    for i in 0..corners.len() {
        if i + 1 == corners.len() || corners[i + 1] != corners[i] + 1 {
            runs.push((first, ((1u32 << (i + 1 - first)) - 1) as __mmask16));
            first = i + 1;
        }
    }
    for (q, &offset) in offsets.iter().enumerate() {
        let to = out.as_mut_ptr().wrapping_add(q * corners.len());
        for &(pixel, lanes) in &runs {
            // SAFETY: lanes are those of pixels of the tile; other elements are neither read nor written.
            unsafe {
                let run = _mm512_maskz_loadu_ps(lanes, data.as_ptr().wrapping_add(offset + corners[pixel]));
                _mm512_mask_storeu_ps(to.wrapping_add(pixel), lanes, run);
            }
        }
    }
}

/// Filters of one group: `w` holds panels `[filters / NR][k][NR]`, `bias` is padded to whole panels, `x` what [`pack`] made of
/// `n` pixels. Results lie filter by filter in `out`, and are set to within `clip`.
pub(super) fn product(
    isa: Isa,
    (w, bias): (&[f32], &[f32]),
    [k, n]: [usize; 2],
    x: &[f32],
    clip: [f32; 2],
    out: &mut [f32],
) {
    let (filters, tiles) = (out.len() / n, Tiles::new(n));
    let panels = filters.div_ceil(NR);
    assert!(isa.avx512_vnni());
    assert!(
        w.len() >= panels * k * NR && bias.len() >= panels * NR && x.len() >= packed_len(n, k),
        "operands are too short"
    );
    for j in (0..panels).step_by(2) {
        for t in 0..tiles.count {
            let (pixels, x) = (tiles.of(t), &x[t * k * PIXELS..]);
            let part = Part { k, w: &w[j * k * NR..], bias: &bias[j * NR..], x, clip, n, first: pixels.start };
            let out = &mut out[j * NR * n..];
            // SAFETY: AVX-512 F is present; panels and pixels have their weights, bias and windows (checked), and results of
            // `filters - j * NR` filters.
            unsafe {
                if j + 1 < panels {
                    part.pixels::<2>(pixels.len(), (filters - j * NR).min(2 * NR), out);
                } else {
                    part.pixels::<1>(pixels.len(), (filters - j * NR).min(NR), out);
                }
            }
        }
    }
}

/// One tile of pixels with one or two panels.
struct Part<'a> {
    k: usize,
    w: &'a [f32],
    bias: &'a [f32],
    x: &'a [f32],
    clip: [f32; 2],
    /// Pixels of the image, and the first of the tile.
    n: usize,
    first: usize,
}

impl Part<'_> {
    /// # Safety
    /// As [`Part::tile`], with `R = pixels`, which is between 1 and [`PIXELS`].
    #[target_feature(enable = "avx512f")]
    unsafe fn pixels<const V: usize>(&self, pixels: usize, filters: usize, out: &mut [f32]) {
        // SAFETY: what the caller promises.
        unsafe {
            match pixels {
                1 => self.tile::<1, V>(filters, out),
                2 => self.tile::<2, V>(filters, out),
                3 => self.tile::<3, V>(filters, out),
                4 => self.tile::<4, V>(filters, out),
                5 => self.tile::<5, V>(filters, out),
                6 => self.tile::<6, V>(filters, out),
                7 => self.tile::<7, V>(filters, out),
                8 => self.tile::<8, V>(filters, out),
                9 => self.tile::<9, V>(filters, out),
                10 => self.tile::<10, V>(filters, out),
                11 => self.tile::<11, V>(filters, out),
                12 => self.tile::<12, V>(filters, out),
                _ => self.tile::<13, V>(filters, out),
            }
        }
    }

    /// # Safety
    /// `w` holds `V` panels, `bias` their starts, `x` holds `k · R` elements, and `out` the results of `filters` filters, at
    /// most `V · NR`, of `n` pixels; `first + R <= n`.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile<const R: usize, const V: usize>(&self, filters: usize, out: &mut [f32]) {
        let mut acc = [[_mm512_setzero_ps(); V]; R];
        for v in 0..V {
            // SAFETY: the bias holds V·NR elements.
            let start = unsafe { _mm512_loadu_ps(self.bias.as_ptr().add(NR * v)) };
            for i in 0..R {
                acc[i][v] = start;
            }
        }
        let (mut w, mut x) = (self.w.as_ptr(), self.x.as_ptr());
        for _ in 0..self.k {
            // SAFETY: a step has NR weights in each panel and R pixels; the pointers move at most to one step behind, by
            // wrapping arithmetic. A prefetch may go anywhere.
            unsafe {
                let mut row = [_mm512_setzero_ps(); V];
                for v in 0..V {
                    let panel = w.wrapping_add(v * self.k * NR);
                    row[v] = _mm512_loadu_ps(panel);
                    _mm_prefetch::<_MM_HINT_T0>(panel.wrapping_add(AHEAD * NR).cast());
                }
                for i in 0..R {
                    let pixel = _mm512_set1_ps(*x.add(i));
                    for v in 0..V {
                        acc[i][v] = _mm512_fmadd_ps(pixel, row[v], acc[i][v]);
                    }
                }
                w = w.wrapping_add(NR);
                x = x.wrapping_add(R);
            }
        }
        let [lo, hi] = self.clip.map(|bound| _mm512_set1_ps(bound));
        let stored = ((1u32 << R) - 1) as __mmask16;
        for v in 0..V {
            let mut rows = [_mm512_setzero_ps(); NR];
            for i in 0..R {
                // With NaN, and with zeros of two signs, both give their second operand, as the scalar comparison does.
                rows[i] = _mm512_min_ps(hi, _mm512_max_ps(lo, acc[i][v]));
            }
            let columns = transposed(rows);
            for c in 0..NR.min(filters - (NR * v).min(filters)) {
                let to = out.as_mut_ptr().wrapping_add((NR * v + c) * self.n + self.first);
                // SAFETY: the filter has a result for each of the R pixels.
                unsafe { _mm512_mask_storeu_ps(to, stored, columns[c]) };
            }
        }
    }
}

/// Steps of k by which weights are fetched ahead.
const AHEAD: usize = 32;

/// Element `i` of vector `j` becomes element `j` of vector `i`.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(r: [__m512; NR]) -> [__m512; NR] {
    let mut pairs = r;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    let low = |a, b| _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    let high = |a, b| _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
    // Lane group L of vector 4·i + c holds element 4·L + c of vectors 4·i to 4·i + 3.
    let mut fours = pairs;
    for i in 0..4 {
        fours[4 * i] = low(pairs[4 * i], pairs[4 * i + 2]);
        fours[4 * i + 1] = high(pairs[4 * i], pairs[4 * i + 2]);
        fours[4 * i + 2] = low(pairs[4 * i + 1], pairs[4 * i + 3]);
        fours[4 * i + 3] = high(pairs[4 * i + 1], pairs[4 * i + 3]);
    }
    let mut out = fours;
    for c in 0..4 {
        let even = [
            _mm512_shuffle_f32x4::<0x88>(fours[c], fours[4 + c]),
            _mm512_shuffle_f32x4::<0x88>(fours[8 + c], fours[12 + c]),
        ];
        let odd = [
            _mm512_shuffle_f32x4::<0xdd>(fours[c], fours[4 + c]),
            _mm512_shuffle_f32x4::<0xdd>(fours[8 + c], fours[12 + c]),
        ];
        out[c] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
        out[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]);
        out[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
        out[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]);
    }
    out
}

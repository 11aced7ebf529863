//! AVX2 + FMA versions of the float kernels, bit-equal to the scalar ones (tested).
#![allow(unsafe_code)]

use super::tile::{Init, MR, NR, Tile, start};
use super::windows::{Block, Reach};
use crate::Isa;
use std::arch::x86_64::*;

/// [`super::tile::run`] with AVX2.
pub(super) fn tile(isa: Isa, t: &Tile<'_>, c: &mut [f32], ldc: usize) {
    assert!(isa.avx2());
    assert!(t.a.len() >= t.k * MR && (t.k == 0 || t.b.len() >= (t.k - 1) * t.ldb + NR), "operands are too short");
    assert!((1..=MR).contains(&t.rows) && (1..=NR).contains(&t.cols), "tile is empty or too large");
    assert!(c.len() >= (t.rows - 1) * ldc + t.cols, "output is too short");
    // SAFETY: AVX2 and FMA are present (checked), and the bounds that `tile_avx2` asks for hold (checked).
    unsafe {
        if t.cols > 8 {
            tile_avx2::<2>(t, c, ldc);
        } else {
            tile_avx2::<1>(t, c, ldc);
        }
    }
}

/// `V` vectors of columns.
///
/// # Safety
/// `a` holds `k·MR` elements, `b` holds `8·V` elements at each `q·ldb` for `q < k`, `c` holds `cols <= 8·V` elements
/// at each `i·ldc` for `i < rows`.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_avx2<const V: usize>(t: &Tile<'_>, c: &mut [f32], ldc: usize) {
    let full = t.rows == MR && t.cols == 8 * V;
    let mut acc = [[_mm256_setzero_ps(); V]; MR];
    match t.init {
        Init::Rows(bias) if t.rows == MR => {
            for i in 0..MR {
                acc[i] = [_mm256_set1_ps(bias[i]); V];
            }
        }
        Init::Out if full => {
            for i in 0..MR {
                for v in 0..V {
                    // SAFETY: row i of the output holds 8·V elements.
                    acc[i][v] = unsafe { _mm256_loadu_ps(c.as_ptr().add(i * ldc + 8 * v)) };
                }
            }
        }
        _ => {
            let first = start(t, c, ldc);
            for i in 0..MR {
                for v in 0..V {
                    // SAFETY: a row of `first` holds NR = 16 elements and V <= 2.
                    acc[i][v] = unsafe { _mm256_loadu_ps(first[i].as_ptr().add(8 * v)) };
                }
            }
        }
    }
    let (mut a, mut b) = (t.a.as_ptr(), t.b.as_ptr());
    for _ in 0..t.k {
        // SAFETY: step q reads a[q·MR..][..MR] and b[q·ldb..][..8·V], which exist; the pointers move at most to one
        // step behind, by wrapping arithmetic that is not dereferenced.
        unsafe {
            let mut row = [_mm256_setzero_ps(); V];
            for v in 0..V {
                row[v] = _mm256_loadu_ps(b.add(8 * v));
            }
            for i in 0..MR {
                let x = _mm256_broadcast_ss(&*a.add(i));
                for v in 0..V {
                    acc[i][v] = _mm256_fmadd_ps(x, row[v], acc[i][v]);
                }
            }
            a = a.wrapping_add(MR);
            b = b.wrapping_add(t.ldb);
        }
    }
    let mut row = [0.0f32; NR];
    for i in 0..t.rows {
        for v in 0..V {
            // SAFETY: a full row of the output holds 8·V elements, and `row` holds NR = 16.
            unsafe {
                let to = if full { c.as_mut_ptr().add(i * ldc) } else { row.as_mut_ptr() };
                _mm256_storeu_ps(to.add(8 * v), acc[i][v]);
            }
        }
        if !full {
            c[i * ldc..][..t.cols].copy_from_slice(&row[..t.cols]);
        }
    }
}

/// One tile of windows, in two halves.
pub(super) fn reach(isa: Isa, t: &Reach<'_>, out: &mut Block) {
    assert!(isa.avx2());
    assert!(t.a.len() >= t.offsets.list().len() * MR && t.bias.len() >= t.rows, "operands are too short");
    assert!(t.offsets.reach() <= t.data.len(), "a window leaves the planes");
    for half in [0, NR] {
        // SAFETY: AVX2 and FMA are present, and the bounds that `rows` asks for hold (all checked).
        unsafe {
            match t.rows {
                6.. => rows::<6>(t, half, out),
                5 => rows::<5>(t, half, out),
                4 => rows::<4>(t, half, out),
                3 => rows::<3>(t, half, out),
                2 => rows::<2>(t, half, out),
                _ => rows::<1>(t, half, out),
            }
        }
    }
}

/// # Safety
/// `a` holds `MR` and the data from each offset and `half` on holds `NR` elements for every step of k, the bias holds `R`.
#[target_feature(enable = "avx2,fma")]
unsafe fn rows<const R: usize>(t: &Reach<'_>, half: usize, out: &mut Block) {
    let mut acc = [[_mm256_setzero_ps(); 2]; R];
    for i in 0..R {
        acc[i] = [_mm256_set1_ps(t.bias[i]); 2];
    }
    let mut a = t.a.as_ptr();
    for &offset in t.offsets.list() {
        // SAFETY: what the caller promises; `a` moves at most to one step behind, by wrapping arithmetic.
        unsafe {
            let x = t.data.as_ptr().add(offset + half);
            let row = [_mm256_loadu_ps(x), _mm256_loadu_ps(x.add(8))];
            for i in 0..R {
                let w = _mm256_broadcast_ss(&*a.add(i));
                acc[i][0] = _mm256_fmadd_ps(w, row[0], acc[i][0]);
                acc[i][1] = _mm256_fmadd_ps(w, row[1], acc[i][1]);
            }
            a = a.wrapping_add(MR);
        }
    }
    for i in 0..R {
        // SAFETY: a row of the block holds NR elements from `half` on.
        unsafe {
            _mm256_storeu_ps(out[i].as_mut_ptr().add(half), acc[i][0]);
            _mm256_storeu_ps(out[i].as_mut_ptr().add(half + 8), acc[i][1]);
        }
    }
}

/// One row of a depthwise convolution with AVX2: `out[x]` is the chain of `w · plane[at + x]` over the taps.
pub(super) fn taps_row(isa: Isa, bias: f32, taps: &[(usize, f32)], plane: &[f32], out: &mut [f32]) {
    assert!(isa.avx2());
    assert!(taps.iter().all(|(at, _)| at + out.len() <= plane.len()), "a tap leaves the plane");
    // SAFETY: AVX2 and FMA are present, and every tap has `out.len()` elements in the plane (both checked).
    unsafe { taps_row_avx2(bias, taps, plane, out) }
}

/// # Safety
/// The plane holds `out.len()` elements at every tap.
#[target_feature(enable = "avx2,fma")]
unsafe fn taps_row_avx2(bias: f32, taps: &[(usize, f32)], plane: &[f32], out: &mut [f32]) {
    let n = out.len();
    let mut x = 0;
    while x + 32 <= n {
        // SAFETY: x + 32 <= n.
        unsafe { taps_block::<4>(bias, taps, plane, x, out) };
        x += 32;
    }
    while x + 8 <= n {
        // SAFETY: x + 8 <= n.
        unsafe { taps_block::<1>(bias, taps, plane, x, out) };
        x += 8;
    }
    if x < n && n >= 8 {
        // The last block overlaps the one before; it computes the same values again.
        // SAFETY: n >= 8.
        unsafe { taps_block::<1>(bias, taps, plane, n - 8, out) };
        x = n;
    }
    for x in x..n {
        out[x] = taps.iter().fold(bias, |acc, &(at, w)| w.mul_add(plane[at + x], acc));
    }
}

/// # Safety
/// `x + 8·V` is at most `out.len()`, and the plane holds `out.len()` elements at every tap.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn taps_block<const V: usize>(bias: f32, taps: &[(usize, f32)], plane: &[f32], x: usize, out: &mut [f32]) {
    let mut acc = [_mm256_set1_ps(bias); V];
    for &(at, w) in taps {
        let w = _mm256_set1_ps(w);
        for v in 0..V {
            // SAFETY: at + x + 8·V <= at + out.len() <= plane.len().
            let p = unsafe { _mm256_loadu_ps(plane.as_ptr().add(at + x + 8 * v)) };
            acc[v] = _mm256_fmadd_ps(w, p, acc[v]);
        }
    }
    for v in 0..V {
        // SAFETY: x + 8·V <= out.len().
        unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(x + 8 * v), acc[v]) };
    }
}

//! AVX-512 tiles: up to eight rows times up to 48 columns of a product or of a convolution over planes. Each result is the
//! same chain as in the scalar version (tested).
#![allow(unsafe_code)]

use super::windows::{Offsets, Vector};
use crate::Isa;
use crate::parallel::Columns;
use std::arch::x86_64::*;

/// Rows of a tile; filters are packed as `[k][MR]`.
pub(super) const MR: usize = 8;
/// Elements of a vector.
pub(super) const LANES: usize = 16;
/// Columns of a tile.
pub(super) const WIDE: usize = 3 * LANES;

/// Where each step of k reads its columns.
#[derive(Clone, Copy)]
pub(super) enum Steps<'a> {
    /// Rows of a matrix: their distance, and how many columns, up to [`WIDE`].
    Even(usize, usize),
    /// Taps of windows, and up to three vectors of pixels.
    List(&'a Offsets, &'a [Vector]),
}

/// Operands of one tile.
pub(super) struct Tile<'a> {
    /// Length of the chains.
    pub(super) k: usize,
    /// Left operand, `[k][MR]`.
    pub(super) a: &'a [f32],
    /// Right operand; the matrix from the first column on, or the planes and [`LANES`] elements behind them.
    pub(super) b: &'a [f32],
    /// Where its steps are.
    pub(super) steps: Steps<'a>,
    /// Starts of the chains, one for each row; without them the output holds them.
    pub(super) bias: Option<&'a [f32]>,
    /// Rows stored, up to [`MR`].
    pub(super) rows: usize,
    /// Least and largest result; others are set to these.
    pub(super) clip: [f32; 2],
}

impl Tile<'_> {
    /// Into row `row` and the rows behind it; a matrix from column `at` on, pixels where they belong.
    pub(super) fn run(&self, isa: Isa, out: &mut Columns<'_>, row: usize, at: usize) {
        assert!(isa.avx512_vnni());
        assert!((1..=MR).contains(&self.rows) && self.a.len() >= self.k * MR, "left operand is too short");
        assert!(self.bias.is_none_or(|bias| bias.len() >= self.rows), "bias is too short");
        let mut to = [std::ptr::null_mut(); 3];
        match self.steps {
            Steps::Even(ldb, cols) => {
                assert!((1..=WIDE).contains(&cols), "tile is empty or too large");
                let last = self.k.saturating_sub(1) * ldb;
                assert!(self.k == 0 || last + cols <= self.b.len(), "right operand is too short");
                let corner = out.corner(row, self.rows, at, cols);
                to = std::array::from_fn(|v| corner.wrapping_add(LANES * v));
            }
            Steps::List(offsets, vectors) => {
                assert!(offsets.list().len() == self.k && self.bias.is_some(), "a step has no offset");
                assert!((1..=to.len()).contains(&vectors.len()), "tile is empty or too large");
                for (vector, to) in vectors.iter().zip(&mut to) {
                    assert!(vector.base() + offsets.largest() + LANES <= self.b.len(), "a window leaves the planes");
                    *to = out.corner(row, self.rows, vector.pixel(), vector.len());
                }
            }
        }
        // SAFETY: AVX-512 F is present, operands have their size, and `to` points to whole rows of what is stored (checked).
        unsafe { self.store(&to, out.width()) }
    }

    /// # Safety
    /// The instructions are present, operands have the sizes that [`Tile::run`] checks, and nobody else holds the elements
    /// that are stored: the columns or pixels from each pointer on, in `rows` rows at distance `ld`.
    unsafe fn store(&self, to: &[*mut f32; 3], ld: usize) {
        let (list, vectors) = match self.steps {
            Steps::Even(_, cols) => (false, cols.div_ceil(LANES)),
            Steps::List(_, vectors) => (true, vectors.len()),
        };
        // SAFETY: what the caller promises; V is the number of vectors of the columns, R is at least `rows`.
        unsafe {
            match (self.rows, vectors, list) {
                (7.., 3, false) => tile::<8, 3, false>(self, to, ld),
                (7.., 2, false) => tile::<8, 2, false>(self, to, ld),
                (7.., _, false) => tile::<8, 1, false>(self, to, ld),
                (5.., 3, false) => tile::<6, 3, false>(self, to, ld),
                (5.., 2, false) => tile::<6, 2, false>(self, to, ld),
                (5.., _, false) => tile::<6, 1, false>(self, to, ld),
                (3.., 3, false) => tile::<4, 3, false>(self, to, ld),
                (3.., 2, false) => tile::<4, 2, false>(self, to, ld),
                (3.., _, false) => tile::<4, 1, false>(self, to, ld),
                (_, 3, false) => tile::<2, 3, false>(self, to, ld),
                (_, 2, false) => tile::<2, 2, false>(self, to, ld),
                (_, _, false) => tile::<2, 1, false>(self, to, ld),
                (7.., 3, true) => tile::<8, 3, true>(self, to, ld),
                (7.., 2, true) => tile::<8, 2, true>(self, to, ld),
                (7.., _, true) => tile::<8, 1, true>(self, to, ld),
                (5.., 3, true) => tile::<6, 3, true>(self, to, ld),
                (5.., 2, true) => tile::<6, 2, true>(self, to, ld),
                (5.., _, true) => tile::<6, 1, true>(self, to, ld),
                (3.., 3, true) => tile::<4, 3, true>(self, to, ld),
                (3.., 2, true) => tile::<4, 2, true>(self, to, ld),
                (3.., _, true) => tile::<4, 1, true>(self, to, ld),
                (_, 3, true) => tile::<2, 3, true>(self, to, ld),
                (_, 2, true) => tile::<2, 2, true>(self, to, ld),
                (_, _, true) => tile::<2, 1, true>(self, to, ld),
            }
        }
    }
}

/// # Safety
/// As [`Tile::store`]; `R >= rows`, and there are `V` vectors, none of them empty.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const R: usize, const V: usize, const LIST: bool>(t: &Tile<'_>, to: &[*mut f32; 3], ld: usize) {
    let last = match t.steps {
        Steps::Even(_, cols) => ((1u32 << (cols - LANES * (V - 1))) - 1) as __mmask16,
        Steps::List(..) => !0,
    };
    let mask: [__mmask16; V] = std::array::from_fn(|v| if v + 1 == V { last } else { !0 });
    let mut acc = [[_mm512_setzero_ps(); V]; R];
    for i in 0..R {
        if i >= t.rows {
            continue;
        }
        match t.bias {
            Some(bias) => acc[i] = [_mm512_set1_ps(bias[i]); V],
            None => {
                for v in 0..V {
                    // SAFETY: the row holds the lanes of the mask.
                    acc[i][v] = unsafe { _mm512_maskz_loadu_ps(mask[v], to[v].add(i * ld)) };
                }
            }
        }
    }
    let mut a = t.a.as_ptr();
    let mut step = |x: [*const f32; V]| {
        // SAFETY: this step has MR weights, and its columns are in the right operand; `a` moves at most to one step
        // behind, by wrapping arithmetic.
        unsafe {
            let mut row = [_mm512_setzero_ps(); V];
            for v in 0..V {
                row[v] = if LIST || v + 1 < V { _mm512_loadu_ps(x[v]) } else { _mm512_maskz_loadu_ps(last, x[v]) };
            }
            for i in 0..R {
                let w = _mm512_set1_ps(*a.add(i));
                for v in 0..V {
                    acc[i][v] = _mm512_fmadd_ps(w, row[v], acc[i][v]);
                }
            }
            a = a.wrapping_add(MR);
        }
    };
    match t.steps {
        Steps::List(offsets, vectors) if LIST => {
            let base: [*const f32; V] = std::array::from_fn(|v| t.b.as_ptr().wrapping_add(vectors[v].base()));
            for &offset in offsets.list() {
                step(base.map(|base| base.wrapping_add(offset)));
            }
        }
        Steps::Even(ldb, _) if !LIST => {
            let mut x = t.b.as_ptr();
            for _ in 0..t.k {
                step(std::array::from_fn(|v| x.wrapping_add(LANES * v)));
                x = x.wrapping_add(ldb);
            }
        }
        _ => {}
    }
    let [lo, hi] = t.clip.map(|bound| _mm512_set1_ps(bound));
    for v in 0..V {
        for i in 0..R {
            // With NaN, and with zeros of two signs, both give their second operand, as the scalar comparison does.
            acc[i][v] = _mm512_min_ps(hi, _mm512_max_ps(lo, acc[i][v]));
        }
    }
    let Steps::List(_, vectors) = t.steps else {
        for i in 0..R {
            if i < t.rows {
                for v in 0..V {
                    // SAFETY: the row holds the lanes of the mask.
                    unsafe { _mm512_mask_storeu_ps(to[v].add(i * ld), mask[v], acc[i][v]) };
                }
            }
        }
        return;
    };
    // By way of memory, so that sums stay in registers although how often each is stored is only known here.
    let mut block = [[0.0f32; WIDE]; R];
    for i in 0..R {
        for v in 0..V {
            // SAFETY: a row of the block holds three vectors.
            unsafe { _mm512_storeu_ps(block[i].as_mut_ptr().add(LANES * v), acc[i][v]) };
        }
    }
    for (v, vector) in vectors.iter().enumerate().take(V) {
        for part in vector.stores() {
            let to = to[v].wrapping_offset(part.shift);
            for (i, row) in block.iter().enumerate().take(t.rows) {
                // SAFETY: V vectors are in the block, and the lanes of the mask are pixels of the row.
                unsafe {
                    let pixels = _mm512_loadu_ps(row.as_ptr().add(LANES * v));
                    _mm512_mask_storeu_ps(to.wrapping_add(i * ld), part.lanes, pixels);
                }
            }
        }
    }
}

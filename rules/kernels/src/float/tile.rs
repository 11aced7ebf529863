//! The tile: `MR` rows times `NR` columns of a product, advanced by a run of k.

use crate::Isa;

/// Rows of a tile; the left operand is packed as `[k][MR]`.
pub(crate) const MR: usize = 6;
/// Columns of a tile; the right operand is packed as `[k][NR]`.
pub(crate) const NR: usize = 16;

/// What the chains of a tile start from.
#[derive(Clone, Copy)]
pub(crate) enum Init<'a> {
    /// One value for each row (at least as many as rows are stored).
    Rows(&'a [f32]),
    /// One value for each column, `NR` of them.
    Cols(&'a [f32]),
    /// What the output holds.
    Out,
}

/// Operands of one tile.
pub(crate) struct Tile<'a> {
    /// Length of the chains.
    pub(crate) k: usize,
    /// Left operand, `[k][MR]`.
    pub(crate) a: &'a [f32],
    /// Right operand: row `q` is `b[q * ldb..][..NR]`.
    pub(crate) b: &'a [f32],
    /// Distance of the right operand's rows.
    pub(crate) ldb: usize,
    /// Start of the chains.
    pub(crate) init: Init<'a>,
    /// Rows stored, up to `MR`.
    pub(crate) rows: usize,
    /// Columns stored, up to `NR`.
    pub(crate) cols: usize,
}

/// Operands of two neighbouring tiles with all their columns.
pub(crate) struct Pair<'a> {
    /// Length of the chains.
    pub(crate) k: usize,
    /// Left operand, `[k][MR]`.
    pub(crate) a: &'a [f32],
    /// Right operands; row `q` of each is `[q * ldb..][..NR]`.
    pub(crate) b: [&'a [f32]; 2],
    /// Distance of the right operands' rows.
    pub(crate) ldb: usize,
    /// Start of the chains; `Cols` has the columns of both.
    pub(crate) init: Init<'a>,
    /// Rows stored, up to `MR`.
    pub(crate) rows: usize,
}

/// Advances the two tiles whose first element is `c[0]`; their rows are `ldc` apart.
pub(crate) fn run_pair(isa: Isa, t: &Pair<'_>, c: &mut [f32], ldc: usize) {
    #[cfg(target_arch = "x86_64")]
    if isa.avx512_vnni() {
        return super::avx512::pair(isa, t, c, ldc);
    }
    for (v, &b) in t.b.iter().enumerate() {
        let init = match t.init {
            Init::Cols(bias) => Init::Cols(&bias[v * NR..]),
            other => other,
        };
        let tile = Tile { k: t.k, a: t.a, b, ldb: t.ldb, init, rows: t.rows, cols: NR };
        run(isa, &tile, &mut c[v * NR..], ldc);
    }
}

/// Advances the tile whose first element is `c[0]`; its rows are `ldc` apart.
pub(crate) fn run(isa: Isa, t: &Tile<'_>, c: &mut [f32], ldc: usize) {
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        return super::avx2::tile(isa, t, c, ldc);
    }
    let _ = isa;
    scalar(t, c, ldc);
}

/// The definition.
pub(crate) fn scalar(t: &Tile<'_>, c: &mut [f32], ldc: usize) {
    let mut acc = start(t, c, ldc);
    for q in 0..t.k {
        let a = &t.a[q * MR..][..MR];
        let b = &t.b[q * t.ldb..][..NR];
        for i in 0..MR {
            for j in 0..NR {
                acc[i][j] = a[i].mul_add(b[j], acc[i][j]);
            }
        }
    }
    for (i, row) in acc.iter().enumerate().take(t.rows) {
        c[i * ldc..][..t.cols].copy_from_slice(&row[..t.cols]);
    }
}

/// The values that the chains start from; rows and columns that are not stored start from 0.
pub(crate) fn start(t: &Tile<'_>, c: &[f32], ldc: usize) -> [[f32; NR]; MR] {
    let mut acc = [[0.0; NR]; MR];
    for (i, row) in acc.iter_mut().enumerate().take(t.rows) {
        match t.init {
            Init::Rows(bias) => *row = [bias[i]; NR],
            Init::Cols(bias) => row.copy_from_slice(&bias[..NR]),
            Init::Out => row[..t.cols].copy_from_slice(&c[i * ldc..][..t.cols]),
        }
    }
    acc
}

//! Matrix products from tiles: blocks of k that stay in cache, panels of columns, row tiles.

use super::activation::Activation;
use super::scratch;
use super::tile::{Init, MR, NR, Pair, Tile, run, run_pair};
use crate::{Isa, KernelError, error::expect_len, parallel};

/// Weights that stay in the cache while rows pass by.
const FILTER_BLOCK: usize = 1 << 16;
/// Multiplications in a nanosecond, about.
pub(super) const SPEED: usize = 32;
/// k of one pass; between passes the chains rest in the output.
const KC: usize = 256;
/// Panels of columns that are packed together.
const PANELS: usize = 32;
/// Row tiles that are kept in cache while the panels pass by.
const ROW_TILES: usize = 16;
/// Up to this many row tiles, packing the right operand costs more than it saves.
const DIRECT_TILES: usize = 4;

/// What the chains of a product start from.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Zero.
    Zero,
    /// One value for each row.
    Rows(&'a [f32]),
    /// What the output holds.
    Out,
}

/// The right operand of a product: a row-major matrix whose rows are `ldb` apart.
struct Columns<'a> {
    b: &'a [f32],
    ldb: usize,
}

/// Rows of the tiles that the functions of this instruction set read.
pub(super) fn tile_rows(isa: Isa) -> usize {
    #[cfg(target_arch = "x86_64")]
    if isa.avx512_vnni() {
        return super::avx512_tile::MR;
    }
    let _ = isa;
    MR
}

/// A row-major `m × k` matrix as tiles `[m / height][k][height]`, padded with zeros.
pub(super) fn pack_rows(a: &[f32], [m, k]: [usize; 2], height: usize) -> Vec<f32> {
    let mut out = vec![0.0; m.div_ceil(height) * k * height];
    for (i, row) in a.chunks_exact(k.max(1)).enumerate().take(m) {
        let tile = &mut out[i / height * k * height..];
        for (q, &v) in row.iter().enumerate() {
            tile[q * height + i % height] = v;
        }
    }
    out
}

/// A row-major `m × k` matrix transposed into panels `[m / NR][k][NR]`, padded with zeros.
pub(super) fn pack_panels(a: &[f32], m: usize, k: usize) -> Vec<f32> {
    let mut out = vec![0.0; m.div_ceil(NR) * k * NR];
    for (i, row) in a.chunks_exact(k.max(1)).enumerate().take(m) {
        let panel = &mut out[i / NR * k * NR..];
        for (q, &v) in row.iter().enumerate() {
            panel[q * NR + i % NR] = v;
        }
    }
    out
}

/// `out[m × n] = start + a[m × k] · b[k × n]`, all row-major.
///
/// # Errors
/// When a slice does not have the stated size.
pub fn matmul(
    isa: Isa,
    threads: usize,
    [m, k, n]: [usize; 3],
    a: &[f32],
    b: &[f32],
    start: Start<'_>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    expect_len("left operand", a.len(), m * k)?;
    expect_len("right operand", b.len(), k * n)?;
    expect_len("output", out.len(), m * n)?;
    match start {
        Start::Zero => out.fill(0.0),
        Start::Rows(bias) => {
            expect_len("bias", bias.len(), m)?;
            out.chunks_exact_mut(n.max(1)).zip(bias).for_each(|(row, &v)| row.fill(v));
        }
        Start::Out => {}
    }
    if m == 0 || n == 0 || k == 0 {
        return Ok(());
    }
    let packed = pack_rows(a, [m, k], tile_rows(isa));
    product(isa, threads, m * k * n / SPEED, &packed, None, Activation::None, [k, n], b, out);
    Ok(())
}

/// A product with a row-major right operand, on up to `threads` threads, in about `nanoseconds` on one: `a` holds tiles of
/// [`tile_rows`], `out` rows of `n`. Chains start from `bias`, one a row, or from what `out` holds; the activation is applied
/// at their ends.
pub(super) fn product(
    isa: Isa,
    threads: usize,
    nanoseconds: usize,
    a: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    [k, n]: [usize; 2],
    b: &[f32],
    out: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if isa.avx512_vnni() {
        let size = [out.len() / n, k, n];
        let product = super::avx512_product::Product { a, bias, activation, size, b };
        return product.run(isa, threads, nanoseconds, out);
    }
    parallel::split(threads, nanoseconds, out, MR * n, |tile, rows| {
        let bias = bias.map(|bias| &bias[tile * MR..]);
        product_rows(isa, &a[tile * k * MR..], bias, activation, k, n, &Columns { b, ldb: n }, rows);
    });
}

/// Rows of a product: `a` as packed tiles, `out` row-major with `n` columns. Chains start from `bias`, one a row, or
/// from what `out` holds; the activation is applied at their ends.
fn product_rows(
    isa: Isa,
    a: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    k: usize,
    n: usize,
    b: &Columns<'_>,
    out: &mut [f32],
) {
    let m = out.len() / n;
    let tiles = m.div_ceil(MR);
    let panels = n.div_ceil(NR);
    let direct = (tiles <= DIRECT_TILES).then_some((b.b, b.ldb));
    scratch::with(PANELS.min(panels) * NR * KC.min(k), |buffer| {
        for j0 in (0..panels).step_by(PANELS) {
            let js = j0..(j0 + PANELS).min(panels);
            for k0 in (0..k).step_by(KC) {
                let kc = KC.min(k - k0);
                let whole = |j: usize| direct.is_some() && (j + 1) * NR <= n;
                for j in js.clone().filter(|&j| !whole(j)) {
                    pack(b, k0, j * NR, n, &mut buffer[(j - j0) * NR * kc..][..NR * kc]);
                }
                for i0 in (0..tiles).step_by(ROW_TILES) {
                    let panel = |j: usize| match direct {
                        Some((b, ldb)) if whole(j) => (&b[k0 * ldb + j * NR..], ldb),
                        _ => (&buffer[(j - j0) * NR * kc..][..NR * kc], NR),
                    };
                    let mut j = js.start;
                    while j < js.end {
                        let (bs, ldb) = panel(j);
                        let paired = j + 1 < js.end && (j + 2) * NR <= n;
                        for i in i0..(i0 + ROW_TILES).min(tiles) {
                            let rows = MR.min(m - i * MR);
                            let init = match bias {
                                Some(bias) if k0 == 0 => Init::Rows(&bias[i * MR..]),
                                _ => Init::Out,
                            };
                            let a = &a[(i * k + k0) * MR..][..kc * MR];
                            let cols = NR.min(n - j * NR);
                            let c = &mut out[i * MR * n + j * NR..];
                            if paired {
                                run_pair(isa, &Pair { k: kc, a, b: [bs, panel(j + 1).0], ldb, init, rows }, c, n);
                            } else {
                                run(isa, &Tile { k: kc, a, b: bs, ldb, init, rows, cols }, c, n);
                            }
                        }
                        j += if paired { 2 } else { 1 };
                    }
                    if k0 + kc == k && activation != Activation::None {
                        for row in i0 * MR..((i0 + ROW_TILES) * MR).min(m) {
                            let run = row * n + js.start * NR..row * n + (js.end * NR).min(n);
                            activation.apply(isa, &mut out[run]);
                        }
                    }
                }
            }
        }
    });
}

/// Packs rows `k0..k0 + kc` of the panel of columns that starts at `j`.
fn pack(Columns { b, ldb }: &Columns<'_>, k0: usize, j: usize, n: usize, out: &mut [f32]) {
    let cols = NR.min(n - j);
    for (q, row) in out.chunks_exact_mut(NR).enumerate() {
        let from = &b[(k0 + q) * ldb + j..];
        // A whole row is a copy of known length.
        if cols == NR {
            row[..NR].copy_from_slice(&from[..NR]);
        } else {
            row[..cols].copy_from_slice(&from[..cols]);
        }
    }
}

/// Each row of `x` (`k` elements) with every filter, a row of `m` results each: images of one pixel. `w` holds panels
/// `[m / NR][k][NR]` of the filters, `bias` is padded to whole panels.
pub(super) fn product_of_rows(
    isa: Isa,
    threads: usize,
    activation: Activation,
    (w, bias): (&[f32], &[f32]),
    [k, m]: [usize; 2],
    x: &[f32],
    out: &mut [f32],
) {
    let packed = pack_rows(x, [x.len() / k, k], MR);
    let panels = m.div_ceil(NR);
    let block = (FILTER_BLOCK / (k * NR)).max(2);
    parallel::split(threads, x.len() * m / SPEED, out, MR * m, |first, out| {
        out.chunks_exact_mut(m).for_each(|row| row.copy_from_slice(&bias[..m]));
        for j0 in (0..panels).step_by(block) {
            for (i, out) in out.chunks_mut(MR * m).enumerate() {
                let (rows, a) = (out.len() / m, &packed[(first + i) * k * MR..][..k * MR]);
                let mut j = j0;
                while j < (j0 + block).min(panels) {
                    let b = |j: usize| &w[j * k * NR..][..k * NR];
                    let paired = (j + 2) * NR <= m;
                    let c = &mut out[j * NR..];
                    if paired {
                        run_pair(isa, &Pair { k, a, b: [b(j), b(j + 1)], ldb: NR, init: Init::Out, rows }, c, m);
                    } else {
                        let cols = NR.min(m - j * NR);
                        run(isa, &Tile { k, a, b: b(j), ldb: NR, init: Init::Out, rows, cols }, c, m);
                    }
                    j += if paired { 2 } else { 1 };
                }
            }
        }
        activation.apply(isa, out);
    });
}

/// Few pixels, many filters: filters along the lanes. `w` holds panels `[m / NR][k][NR]` of the filters of `out`,
/// `bias` is padded to whole panels, `x` holds the pixels as tiles `[n / MR][k][MR]`.
pub(super) fn product_by_filters(isa: Isa, w: &[f32], bias: &[f32], k: usize, n: usize, x: &[f32], out: &mut [f32]) {
    let m = out.len() / n;
    let mut block = [0.0f32; MR * 2 * NR];
    for j in (0..m.div_ceil(NR)).step_by(2) {
        let paired = (j + 1) * NR < m;
        let b = |j: usize| &w[j * k * NR..][..k * NR];
        let init = Init::Cols(&bias[j * NR..][..if paired { 2 * NR } else { NR }]);
        for i in 0..n.div_ceil(MR) {
            let (rows, cols) = (MR.min(n - i * MR), (m - j * NR).min(2 * NR));
            let a = &x[i * k * MR..][..k * MR];
            if paired {
                run_pair(isa, &Pair { k, a, b: [b(j), b(j + 1)], ldb: NR, init, rows }, &mut block, 2 * NR);
            } else {
                run(isa, &Tile { k, a, b: b(j), ldb: NR, init, rows, cols: NR }, &mut block, 2 * NR);
            }
            for c in 0..cols {
                for r in 0..rows {
                    out[(j * NR + c) * n + i * MR + r] = block[r * 2 * NR + c];
                }
            }
        }
    }
}

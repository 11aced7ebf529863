//! Matrix products and pointwise convolutions from AVX-512 tiles: blocks of columns and of k that stay in cache.

use super::activation::Activation;
use super::avx512_tile::{MR, Steps, Tile, WIDE};
use super::scratch;
use crate::parallel::Columns;
use crate::{Isa, parallel};
use std::ops::Range;

/// k of one pass; between passes the chains rest in the output.
const KC: usize = 256;
/// Columns that are packed together.
const COLUMNS: usize = 10 * WIDE;
/// Elements of packed columns that stay in the first-level cache while rows pass by.
const NEAR: usize = 6144;
/// Up to this many row tiles, packing the right operand costs more than it saves.
const DIRECT_TILES: usize = 3;

/// Operands of a product.
pub(super) struct Product<'a> {
    /// Left operand as tiles `[m / MR][k][MR]`.
    pub(super) a: &'a [f32],
    /// Starts of the chains, one for each row; without them the output holds them.
    pub(super) bias: Option<&'a [f32]>,
    /// What the ends of the chains are put through.
    pub(super) activation: Activation,
    /// Rows, length of the chains, columns.
    pub(super) size: [usize; 3],
    /// Right operand, row-major.
    pub(super) b: &'a [f32],
}

impl Product<'_> {
    /// All of it, on up to `threads` threads, in about `nanoseconds` on one.
    pub(super) fn run(&self, isa: Isa, threads: usize, nanoseconds: usize, out: &mut [f32]) {
        let [m, _, n] = self.size;
        let tiles = m.div_ceil(MR);
        // By columns where there are many, so that each is packed once; else by rows.
        if n / WIDE >= 8 * threads || tiles < 2 * threads {
            let edges: Vec<usize> = (0..n.div_ceil(WIDE)).map(|j| j * WIDE).chain([n]).collect();
            parallel::split_columns(threads, nanoseconds, out, &edges, |panels, out| {
                self.part(isa, 0..tiles, edges[panels.start]..edges[panels.end], 0, out);
            });
            return;
        }
        parallel::split(threads, nanoseconds, out, MR * n, |first, rows| {
            let tiles = first..first + (rows.len() / n).div_ceil(MR);
            self.part(isa, tiles, 0..n, first * MR, &mut Columns::whole(rows, n));
        });
    }

    /// Some tiles of rows and some columns; the first row of `out` is row `shift`.
    fn part(&self, isa: Isa, tiles: Range<usize>, columns: Range<usize>, shift: usize, out: &mut Columns<'_>) {
        let [m, k, n] = self.size;
        let direct = tiles.len() <= DIRECT_TILES;
        let room = if direct { 0 } else { COLUMNS.min(columns.len().next_multiple_of(WIDE)) * KC.min(k) };
        let (clip, rest) = self.activation.clip_and_rest();
        scratch::with(room, |buffer| {
            for j0 in columns.clone().step_by(COLUMNS) {
                let block = j0..(j0 + COLUMNS).min(columns.end);
                for k0 in (0..k).step_by(KC) {
                    let kc = KC.min(k - k0);
                    if !direct {
                        self.pack(k0, kc, block.clone(), buffer);
                    }
                    let last = k0 + kc == k;
                    let near = (NEAR / (kc * WIDE)).max(1) * WIDE;
                    for j1 in block.clone().step_by(near) {
                        let group = j1..(j1 + near).min(block.end);
                        for i in tiles.clone() {
                            let rows = MR.min(m - i * MR);
                            let a = &self.a[(i * k + k0) * MR..][..kc * MR];
                            for j in group.clone().step_by(WIDE) {
                                let cols = WIDE.min(group.end - j);
                                let (b, steps) = if direct {
                                    (&self.b[k0 * n + j..], Steps::Even(n, cols))
                                } else {
                                    (&buffer[(j - j0) * kc..][..WIDE * kc], Steps::Even(WIDE, cols))
                                };
                                let bias = self.bias.filter(|_| k0 == 0).map(|bias| &bias[i * MR..]);
                                let clip = if last { clip } else { [f32::NEG_INFINITY, f32::INFINITY] };
                                let tile = Tile { k: kc, a, b, steps, bias, rows, clip };
                                tile.run(isa, out, i * MR - shift, j);
                            }
                            if last && rest != Activation::None {
                                for row in i * MR..i * MR + rows {
                                    rest.apply(isa, out.run(row - shift, group.start, group.len()));
                                }
                            }
                        }
                    }
                }
            }
        });
    }

    /// Packs rows `k0..k0 + kc` of some columns as panels `[kc][WIDE]`.
    fn pack(&self, k0: usize, kc: usize, columns: Range<usize>, out: &mut [f32]) {
        let n = self.size[2];
        for (j, panel) in columns.clone().step_by(WIDE).zip(out.chunks_exact_mut(WIDE * kc)) {
            let cols = WIDE.min(columns.end - j);
            for (q, row) in panel.chunks_exact_mut(WIDE).enumerate() {
                let from = &self.b[(k0 + q) * n + j..];
                // A whole row is a copy of known length.
                if cols == WIDE {
                    row.copy_from_slice(&from[..WIDE]);
                } else {
                    row[..cols].copy_from_slice(&from[..cols]);
                }
            }
        }
    }
}

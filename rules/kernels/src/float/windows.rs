//! Convolution that reads windows from padded planes in place: a step of k is one address for 32 neighbouring pixels, so
//! nothing is copied apart.

use super::conv::FloatConv;
use super::scratch;
use super::tile::{MR, NR};
use crate::planes::Planes;
use crate::{Isa, parallel};

/// Pixels of a tile.
pub(super) const WIDE: usize = 2 * NR;

/// Where each step of k reads.
pub(super) struct Offsets {
    list: Vec<usize>,
    largest: usize,
}

impl Offsets {
    pub(super) fn new(list: Vec<usize>) -> Offsets {
        let largest = list.iter().copied().max().unwrap_or(0);
        Offsets { list, largest }
    }

    /// Step by step.
    pub(super) fn list(&self) -> &[usize] {
        &self.list
    }

    /// Elements that a tile of pixels needs from its first pixel on.
    pub(super) fn reach(&self) -> usize {
        self.largest + WIDE
    }
}

/// Results of a tile, row by row.
pub(super) type Block = [[f32; WIDE]; MR];

/// Operands of a tile: `rows` filters over the [`WIDE`] pixels from `data[0]` on.
pub(super) struct Reach<'a> {
    /// Filters `[k][MR]`.
    pub(super) a: &'a [f32],
    /// Planes from the first pixel on; every offset reaches `WIDE` elements.
    pub(super) data: &'a [f32],
    /// Where each step of k reads.
    pub(super) offsets: &'a Offsets,
    /// Starts of the chains, one for each row.
    pub(super) bias: &'a [f32],
    /// Rows that are wanted, up to `MR`.
    pub(super) rows: usize,
}

/// Calls `f` with the padded planes of `channels` channels and [`WIDE`] elements behind them.
pub(super) fn with_planes<R>(
    planes: &Planes,
    threads: usize,
    x: &[f32],
    channels: usize,
    f: impl FnOnce(&[f32]) -> R,
) -> R {
    let image = x.len() / channels;
    let len = channels * planes.plane;
    scratch::with(len + WIDE, |memory| {
        let (body, slack) = memory.split_at_mut(len);
        slack.fill(0.0);
        parallel::split(threads, len / 4, body, planes.plane, |first, run| {
            for (i, plane) in run.chunks_exact_mut(planes.plane).enumerate() {
                planes.fill_padded(&x[(first + i) * image..][..image], plane);
            }
        });
        f(memory)
    })
}

/// First column of the tile, first pixel, number of pixels.
type Piece = (usize, usize, usize);

/// Tiles of the pixels of a plane.
pub(super) struct Pieces {
    /// Where each tile starts in the plane, and its pieces.
    tiles: Vec<(usize, Vec<Piece>)>,
    /// The first pixel of each tile, then the number of pixels.
    edges: Vec<usize>,
}

impl Pieces {
    /// Tiles row by row, or over rows that lie one behind the other with the columns between them, whichever are fewer.
    pub(super) fn new(planes: &Planes) -> Pieces {
        let ([height, width], step) = (planes.out, planes.row_step);
        let long = (height - 1) * step + width;
        let row = |y: usize| {
            (0..width).step_by(WIDE).map(move |x| (y * step + x, vec![(0, y * width + x, WIDE.min(width - x))]))
        };
        let tile = |start: usize| {
            let rows = start / step..=((start + WIDE - 1) / step).min(height - 1);
            let piece = |y: usize| {
                let from = start.max(y * step);
                let to = (start + WIDE).min(y * step + width);
                (from < to).then(|| (from - start, y * width + from - y * step, to - from))
            };
            (start, rows.filter_map(piece).collect())
        };
        let by_rows = height * width.div_ceil(WIDE) <= long.div_ceil(WIDE);
        let tiles: Vec<(usize, Vec<Piece>)> =
            if by_rows { (0..height).flat_map(row).collect() } else { (0..long).step_by(WIDE).map(tile).collect() };
        let mut edges = vec![height * width; tiles.len() + 1];
        for (t, (_, pieces)) in tiles.iter().enumerate().rev() {
            edges[t] = pieces.first().map_or(edges[t + 1], |p| p.1);
        }
        Pieces { tiles, edges }
    }
}

/// Filters of one group over padded planes: `w` holds tiles `[filters / MR][k][MR]`, `y` the group's result.
pub(super) fn run(
    isa: Isa,
    threads: usize,
    conv: &FloatConv,
    (w, bias): (&[f32], &[f32]),
    data: &[f32],
    offsets: &Offsets,
    pieces: &Pieces,
    nanoseconds: usize,
    y: &mut [f32],
) {
    let k = offsets.list().len();
    parallel::split_columns(threads, nanoseconds, y, &pieces.edges, |tiles, out| {
        let mut block = [[0.0; WIDE]; MR];
        for (start, parts) in &pieces.tiles[tiles] {
            for (i, bias) in bias.chunks(MR).enumerate() {
                let a = &w[i * k * MR..][..k * MR];
                tile(isa, &Reach { a, data: &data[*start..], offsets, bias, rows: bias.len() }, &mut block);
                conv.activation.apply(isa, block[..bias.len()].as_flattened_mut());
                for (r, row) in block.iter().enumerate().take(bias.len()) {
                    for &(at, pixel, n) in parts {
                        out.run(i * MR + r, pixel, n).copy_from_slice(&row[at..at + n]);
                    }
                }
            }
        }
    });
}

/// The results of one tile.
fn tile(isa: Isa, t: &Reach<'_>, out: &mut Block) {
    #[cfg(target_arch = "x86_64")]
    {
        if isa.avx512_vnni() {
            return super::avx512::reach(isa, t, out);
        }
        if isa.avx2() {
            return super::avx2::reach(isa, t, out);
        }
    }
    let _ = isa;
    for i in 0..t.rows {
        out[i] = [t.bias[i]; WIDE];
        for (q, offset) in t.offsets.list().iter().enumerate() {
            let x = &t.data[*offset..][..WIDE];
            out[i].iter_mut().zip(x).for_each(|(o, &x)| *o = t.a[q * MR + i].mul_add(x, *o));
        }
    }
}

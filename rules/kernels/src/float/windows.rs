//! Convolution that reads windows from padded planes in place: a step of k is one address for 32 neighbouring pixels, so
//! nothing is copied apart.

use super::conv::FloatConv;
use super::scratch;
use super::tile::{MR, NR};
use crate::planes::Planes;
use crate::vectorized::vectorized;
use crate::{Isa, parallel};

/// Pixels of a tile.
pub(super) const WIDE: usize = 2 * NR;
/// Pixels of a vector.
const LANES: usize = NR;
/// Elements behind the planes that a tile may read.
const SLACK: usize = WIDE;

/// Where each step of k reads.
#[derive(Clone, Debug)]
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

    /// The largest of them.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn largest(&self) -> usize {
        self.largest
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

/// Calls `f` with the padded planes of `channels` channels and [`SLACK`] elements behind them.
pub(super) fn with_planes<R>(
    isa: Isa,
    planes: &Planes,
    threads: usize,
    x: &[f32],
    channels: usize,
    f: impl FnOnce(&[f32]) -> R,
) -> R {
    let image = x.len() / channels;
    let len = channels * planes.plane;
    scratch::with(len + SLACK, |memory| {
        let (body, slack) = memory.split_at_mut(len);
        slack.fill(0.0);
        parallel::split(threads, len / 4, body, planes.plane, |first, run| {
            vectorized(isa, || {
                for (i, plane) in run.chunks_exact_mut(planes.plane).enumerate() {
                    planes.fill_padded(&x[(first + i) * image..][..image], plane);
                }
            });
        });
        f(memory)
    })
}

/// First column of the tile, first pixel, number of pixels.
type Piece = (usize, usize, usize);

/// Tiles of the pixels of a plane.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    /// Where each tile starts in the plane, and its pieces.
    tiles: Vec<(usize, Vec<Piece>)>,
    /// The first pixel of each tile, then the number of pixels.
    edges: Vec<usize>,
    /// Or the same pixels in single vectors.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "AVX-512 reads them"))]
    vectors: Vec<Vector>,
}

/// Neighbouring elements of a plane, of which some are pixels, one behind the other.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "AVX-512 reads them"))]
pub(super) struct Vector {
    base: usize,
    pixel: usize,
    len: usize,
    stores: Vec<Store>,
}

/// Pixels of one row among the lanes of a vector.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "AVX-512 reads them"))]
pub(super) struct Store {
    /// Lanes that are pixels.
    pub(super) lanes: u16,
    /// Where lane 0 would be stored, counted from the vector's first pixel.
    pub(super) shift: isize,
}

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "AVX-512 reads them"))]
impl Vector {
    fn new((base, pieces): (usize, Vec<Piece>)) -> Vector {
        let pixel = pieces.first().map_or(0, |p| p.1);
        let store = |&(at, first, n): &Piece| Store {
            lanes: (((1u32 << n) - 1) << at) as u16,
            shift: (first - pixel) as isize - at as isize,
        };
        let stores = pieces.iter().map(store).collect();
        Vector { base, pixel, len: pieces.iter().map(|p| p.2).sum(), stores }
    }

    /// The first element in the plane.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// The first pixel.
    pub(super) fn pixel(&self) -> usize {
        self.pixel
    }

    /// Number of pixels.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where they are stored.
    pub(super) fn stores(&self) -> &[Store] {
        &self.stores
    }
}

impl Pieces {
    /// What the functions of this instruction set read: tiles or vectors of the pixels.
    pub(super) fn new(isa: Isa, planes: &Planes) -> Pieces {
        if isa.avx512_vnni() {
            // Elements between two rows hold no pixel.
            let vectors = tiles(planes, LANES).into_iter().filter(|(_, pieces)| !pieces.is_empty());
            return Pieces { tiles: Vec::new(), edges: vec![0], vectors: vectors.map(Vector::new).collect() };
        }
        let tiles = tiles(planes, WIDE);
        let mut edges = vec![planes.out[0] * planes.out[1]; tiles.len() + 1];
        for (t, (_, pieces)) in tiles.iter().enumerate().rev() {
            edges[t] = pieces.first().map_or(edges[t + 1], |p| p.1);
        }
        Pieces { tiles, edges, vectors: Vec::new() }
    }
}

/// Tiles of `wide` pixels with their pieces, row by row, or over rows that lie one behind the other with the columns between
/// them, whichever are fewer.
fn tiles(planes: &Planes, wide: usize) -> Vec<(usize, Vec<Piece>)> {
    let ([height, width], step) = (planes.out, planes.row_step);
    let long = (height - 1) * step + width;
    let row =
        |y: usize| (0..width).step_by(wide).map(move |x| (y * step + x, vec![(0, y * width + x, wide.min(width - x))]));
    let tile = |start: usize| {
        let rows = start / step..=((start + wide - 1) / step).min(height - 1);
        let piece = |y: usize| {
            let from = start.max(y * step);
            let to = (start + wide).min(y * step + width);
            (from < to).then(|| (from - start, y * width + from - y * step, to - from))
        };
        (start, rows.filter_map(piece).collect())
    };
    if height * width.div_ceil(wide) <= long.div_ceil(wide) {
        (0..height).flat_map(row).collect()
    } else {
        (0..long).step_by(wide).map(tile).collect()
    }
}

/// Filters of one group over padded planes: `w` holds tiles `[filters / rows of a tile][k][rows of a tile]`, `y` the group's
/// result.
pub(super) fn run(
    conv: &FloatConv,
    threads: usize,
    (w, bias): (&[f32], &[f32]),
    data: &[f32],
    offsets: &Offsets,
    pieces: &Pieces,
    nanoseconds: usize,
    y: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if conv.isa.avx512_vnni() {
        return super::avx512_windows::run(conv, threads, (w, bias), data, offsets, &pieces.vectors, nanoseconds, y);
    }
    parallel::split_columns(threads, nanoseconds, y, &pieces.edges, |tiles, out| {
        let k = offsets.list().len();
        let mut block = [[0.0; WIDE]; MR];
        for (start, parts) in &pieces.tiles[tiles] {
            for (i, bias) in bias.chunks(MR).enumerate() {
                let a = &w[i * k * MR..][..k * MR];
                tile(conv.isa, &Reach { a, data: &data[*start..], offsets, bias, rows: bias.len() }, &mut block);
                conv.activation.apply(conv.isa, block[..bias.len()].as_flattened_mut());
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
    if isa.avx2() {
        return super::avx2::reach(isa, t, out);
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

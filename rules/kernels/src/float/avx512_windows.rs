//! Convolution over padded planes from AVX-512 tiles of up to three vectors of pixels, which are stored where they belong.

use super::activation::Activation;
use super::avx512_tile::{MR, Steps, Tile};
use super::conv::FloatConv;
use super::windows::{Offsets, Vector};
use crate::parallel;

/// Vectors of a tile.
const VECTORS: usize = 3;
/// Weights of all steps of a tile of rows that are read again for each tile of pixels; with fewer, filters wait for several
/// tiles of pixels, so that neighbouring results are written one soon after the other.
const SHORT: usize = 64;
/// Tiles of pixels that are then computed together.
const TOGETHER: usize = 16;

/// Filters of one group: `w` holds tiles `[filters / MR][k][MR]`, `y` the group's result.
pub(super) fn run(
    conv: &FloatConv,
    threads: usize,
    (w, bias): (&[f32], &[f32]),
    data: &[f32],
    offsets: &Offsets,
    vectors: &[Vector],
    nanoseconds: usize,
    y: &mut [f32],
) {
    let k = offsets.list().len();
    let (clip, rest) = conv.activation.clip_and_rest();
    let together = if k <= SHORT { TOGETHER } else { 1 };
    let first = |tile: &[Vector]| tile.first().map_or(0, Vector::pixel);
    let end = vectors.last().map_or(0, |v| v.pixel() + v.len());
    let edges: Vec<usize> = vectors.chunks(VECTORS).map(first).chain([end]).collect();
    parallel::split_columns(threads, nanoseconds, y, &edges, |tiles, out| {
        let vectors = &vectors[VECTORS * tiles.start..(VECTORS * tiles.end).min(vectors.len())];
        for vectors in vectors.chunks(VECTORS * together) {
            for (i, bias) in bias.chunks(MR).enumerate() {
                let a = &w[i * k * MR..][..k * MR];
                for vectors in vectors.chunks(VECTORS) {
                    let steps = Steps::List(offsets, vectors);
                    let tile = Tile { k, a, b: data, steps, bias: Some(bias), rows: bias.len(), clip };
                    tile.run(conv.isa, out, i * MR, 0);
                }
                if rest == Activation::None {
                    continue;
                }
                let from = first(vectors);
                let n = vectors.iter().map(Vector::len).sum();
                (0..bias.len()).for_each(|r| rest.apply(conv.isa, out.run(i * MR + r, from, n)));
            }
        }
    });
}

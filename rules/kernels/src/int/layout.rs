//! Between NCHW and NHWC, in blocks that stay in cache.

use crate::{Isa, parallel};

/// Pixels and channels of a block.
const BLOCK: usize = 16;

/// One image `[channels][pixels]` as `[pixels][channels]`.
///
/// # Panics
/// When the slices differ in length or are not `channels` rows.
pub fn to_nhwc<T: Copy>(x: &[T], channels: usize, out: &mut [T]) {
    let pixels = x.len() / channels.max(1);
    assert!(x.len() == out.len() && pixels * channels == x.len(), "image does not have {channels} channels");
    transpose(x, channels, pixels, 0, out);
}

/// One image `[pixels][channels]` as `[channels][pixels]`.
///
/// # Panics
/// When the slices differ in length or are not rows of `channels`.
pub fn to_nchw<T: Copy>(x: &[T], channels: usize, out: &mut [T]) {
    let pixels = x.len() / channels.max(1);
    assert!(x.len() == out.len() && pixels * channels == x.len(), "image does not have {channels} channels");
    transpose(x, pixels, channels, 0, out);
}

/// `rows` rows of `cols` bytes as `cols` rows of `rows` bytes.
///
/// # Panics
/// When a slice has another length.
pub fn swap_axes(isa: Isa, threads: usize, x: &[u8], rows: usize, cols: usize, out: &mut [u8]) {
    assert!(x.len() == rows * cols && out.len() == x.len(), "slices are not {rows} rows of {cols} bytes");
    if rows == 1 || cols == 1 {
        return out.copy_from_slice(x);
    }
    parallel::split(threads, x.len() / 8, out, rows * BLOCK, |first, out| {
        columns(isa, x, rows, cols, first * BLOCK, out);
    });
}

/// The columns from `first` on, as many as `out` has room for.
fn columns(isa: Isa, x: &[u8], rows: usize, cols: usize, first: usize, out: &mut [u8]) {
    let count = out.len() / rows;
    // Pixels of an image: the three planes side by side.
    if rows == 3 {
        let [a, b, c] = [0, 1, 2].map(|r| &x[r * cols + first..][..count]);
        return super::vectorized(isa, || {
            let planes = a.iter().zip(b).zip(c);
            out.as_chunks_mut::<3>().0.iter_mut().zip(planes).for_each(|(o, ((a, b), c))| *o = [*a, *b, *c]);
        });
    }
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        super::avx2::transpose::blocks(isa, x, rows, cols, first, out);
        // What is left at the right, then below.
        let whole = |n: usize| n / BLOCK * BLOCK;
        for c in 0..count {
            let from = if c < whole(count) { whole(rows) } else { 0 };
            (from..rows).for_each(|r| out[c * rows + r] = x[r * cols + first + c]);
        }
        return;
    }
    let _ = isa;
    transpose(x, rows, cols, first, out);
}

/// The columns from `first` on, as many as `out` has room for.
fn transpose<T: Copy>(x: &[T], rows: usize, cols: usize, first: usize, out: &mut [T]) {
    let count = out.len() / rows.max(1);
    // Few columns lie in the same cache lines: one after the other, each in one go.
    if cols < BLOCK {
        for (c, out) in out.chunks_exact_mut(rows.max(1)).enumerate() {
            out.iter_mut().zip(x.chunks_exact(cols)).for_each(|(o, row)| *o = row[first + c]);
        }
        return;
    }
    for r0 in (0..rows).step_by(BLOCK) {
        for c0 in (0..count).step_by(BLOCK) {
            let (nr, nc) = (BLOCK.min(rows - r0), BLOCK.min(count - c0));
            for c in c0..c0 + nc {
                let target = &mut out[c * rows + r0..][..nr];
                for (i, t) in target.iter_mut().enumerate() {
                    *t = x[(r0 + i) * cols + first + c];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_swaps_alike() {
        let small = [(1, 1), (3, 50), (16, 16), (17, 33), (40, 100), (5, 16), (16, 5)];
        // Long enough for several threads.
        for (rows, cols) in small.into_iter().chain([(3, 60_001), (20_003, 5), (64, 3_001), (33, 4_096)]) {
            let x: Vec<u8> = (0..rows * cols).map(|i| (i * 7 + i / 11) as u8).collect();
            for (isa, threads) in Isa::all().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                let mut y = vec![0; x.len()];
                swap_axes(isa, threads, &x, rows, cols, &mut y);
                assert!((0..rows * cols).all(|i| y[i % cols * rows + i / cols] == x[i]), "{isa:?} {rows}x{cols}");
                let words: Vec<[u8; 4]> = x.iter().enumerate().map(|(i, v)| [*v, i as u8, 7, (i >> 8) as u8]).collect();
                let mut y = vec![[0; 4]; x.len()];
                to_nhwc(&words, rows, &mut y);
                assert!((0..rows * cols).all(|i| y[i % cols * rows + i / cols] == words[i]), "{rows}x{cols}");
            }
        }
    }
}

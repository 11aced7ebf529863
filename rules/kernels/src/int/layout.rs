//! Between NCHW and NHWC, in blocks that stay in cache.

use crate::Isa;

/// Pixels and channels of a block.
const BLOCK: usize = 16;

/// One image `[channels][pixels]` as `[pixels][channels]`.
///
/// # Panics
/// When the slices differ in length or are not `channels` rows.
pub fn to_nhwc<T: Copy>(x: &[T], channels: usize, out: &mut [T]) {
    let pixels = x.len() / channels.max(1);
    assert!(x.len() == out.len() && pixels * channels == x.len(), "image does not have {channels} channels");
    transpose(x, channels, pixels, out);
}

/// One image `[pixels][channels]` as `[channels][pixels]`.
///
/// # Panics
/// When the slices differ in length or are not rows of `channels`.
pub fn to_nchw<T: Copy>(x: &[T], channels: usize, out: &mut [T]) {
    let pixels = x.len() / channels.max(1);
    assert!(x.len() == out.len() && pixels * channels == x.len(), "image does not have {channels} channels");
    transpose(x, pixels, channels, out);
}

/// `rows` rows of `cols` bytes as `cols` rows of `rows` bytes.
///
/// # Panics
/// When a slice has another length.
pub fn swap_axes(isa: Isa, x: &[u8], rows: usize, cols: usize, out: &mut [u8]) {
    assert!(x.len() == rows * cols && out.len() == x.len(), "slices are not {rows} rows of {cols} bytes");
    if rows == 1 || cols == 1 {
        return out.copy_from_slice(x);
    }
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        super::avx2::transpose::blocks(isa, x, rows, cols, out);
        // What is left at the right, then below.
        let whole = |n: usize| n / BLOCK * BLOCK;
        for c in 0..cols {
            let from = if c < whole(cols) { whole(rows) } else { 0 };
            (from..rows).for_each(|r| out[c * rows + r] = x[r * cols + c]);
        }
        return;
    }
    let _ = isa;
    transpose(x, rows, cols, out);
}

fn transpose<T: Copy>(x: &[T], rows: usize, cols: usize, out: &mut [T]) {
    for r0 in (0..rows).step_by(BLOCK) {
        for c0 in (0..cols).step_by(BLOCK) {
            let (nr, nc) = (BLOCK.min(rows - r0), BLOCK.min(cols - c0));
            for c in c0..c0 + nc {
                let target = &mut out[c * rows + r0..][..nr];
                for (i, t) in target.iter_mut().enumerate() {
                    *t = x[(r0 + i) * cols + c];
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
        for (rows, cols) in [(1, 1), (3, 50), (16, 16), (17, 33), (40, 100), (5, 16), (16, 5)] {
            let x: Vec<u8> = (0..rows * cols).map(|i| (i * 7 + i / 11) as u8).collect();
            for isa in Isa::all() {
                let mut y = vec![0; x.len()];
                swap_axes(isa, &x, rows, cols, &mut y);
                assert!((0..rows * cols).all(|i| y[i % cols * rows + i / cols] == x[i]), "{isa:?} {rows}x{cols}");
            }
        }
    }
}

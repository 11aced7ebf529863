//! Between NCHW and NHWC, in blocks that stay in cache.

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

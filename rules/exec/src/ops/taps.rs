//! Where the taps of a window of any spatial rank are in the image.

use ptq_ir::ops::Window;
use std::ops::Range;

/// Stands for a tap in the padding.
pub(super) const OUTSIDE: usize = usize::MAX;

/// Output pixels that are handled at once, so that tables stay small.
pub(super) const CHUNK: usize = 1024;

/// Index within the image of each tap for the output pixels of a range: `[tap][pixel]`, row-major in the kernel,
/// [`OUTSIDE`] in the padding.
pub(super) fn taps(window: &Window, spatial: &[usize], out: &[usize], pixels: Range<usize>) -> Vec<usize> {
    let at: Vec<Vec<usize>> = pixels.map(|p| coordinates(p, out)).collect();
    let steps = ptq_ir::strides(spatial);
    let count = window.kernel.iter().product();
    let mut table = Vec::with_capacity(at.len() * count);
    for tap in 0..count {
        let k = coordinates(tap, &window.kernel);
        table.extend(at.iter().map(|o| {
            let source = |d: usize| window.source(d, o[d], k[d], spatial[d]).map(|i| i * steps[d]);
            (0..spatial.len()).try_fold(0, |sum, d| Some(sum + source(d)?)).unwrap_or(OUTSIDE)
        }));
    }
    table
}

/// Index along each axis of a row-major position.
pub(super) fn coordinates(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut out = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        out[d] = position % shape[d];
        position /= shape[d];
    }
    out
}

/// Ranges of at most [`CHUNK`] pixels.
pub(super) fn chunks(pixels: usize) -> impl Iterator<Item = Range<usize>> {
    (0..pixels).step_by(CHUNK).map(move |first| first..(first + CHUNK).min(pixels))
}

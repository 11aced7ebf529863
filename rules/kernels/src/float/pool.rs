//! Average and maximum pooling on NCHW planes.

use super::reduce;
use ptq_ir::ops::PoolGeom;

/// Rows or columns of a window that lie inside the image: `(first input index, taps)` for output index `o`.
pub(crate) fn inside(geom: &PoolGeom, d: usize, o: usize, extent: usize) -> (usize, usize) {
    let (start, step) = (o * geom.strides[d], geom.dilations[d]);
    let skipped = geom.pads[d].saturating_sub(start).div_ceil(step).min(geom.kernel[d]);
    let first = (start + skipped * step).saturating_sub(geom.pads[d]);
    let room = extent.saturating_sub(first).div_ceil(step);
    (first, room.min(geom.kernel[d] - skipped))
}

/// Taps that an average divides by: those inside the image, or with `count_include_pad` those inside the padded image.
fn divisor(geom: &PoolGeom, hw: [usize; 2], o: [usize; 2], taps: usize) -> usize {
    if !geom.count_include_pad {
        return taps;
    }
    let span = |d: usize| {
        let end = hw[d] + geom.pads[d] + geom.pads[d + 2];
        end.saturating_sub(o[d] * geom.strides[d]).div_ceil(geom.dilations[d]).min(geom.kernel[d])
    };
    span(0) * span(1)
}

/// Average over each window of each plane. A window over the whole image is a long sum
/// ([`reduce::sum`]); others add row by row.
///
/// # Panics
/// When the slices are not whole planes of these extents.
pub fn average_pool(geom: &PoolGeom, x: &[f32], hw: [usize; 2], out: &mut [f32], out_hw: [usize; 2]) {
    let planes = x.chunks_exact(hw[0] * hw[1]).zip(out.chunks_exact_mut(out_hw[0] * out_hw[1]));
    let whole = geom.kernel == hw && geom.pads == [0; 4] && out_hw == [1, 1] && geom.dilations == [1, 1];
    for (x, y) in planes {
        if whole {
            y[0] = reduce::mean(x);
            continue;
        }
        for oy in 0..out_hw[0] {
            let (y0, ny) = inside(geom, 0, oy, hw[0]);
            for ox in 0..out_hw[1] {
                let (x0, nx) = inside(geom, 1, ox, hw[1]);
                let mut sum = 0.0f32;
                for r in 0..ny {
                    let row = &x[(y0 + r * geom.dilations[0]) * hw[1]..][..hw[1]];
                    (0..nx).for_each(|c| sum += row[x0 + c * geom.dilations[1]]);
                }
                y[oy * out_hw[1] + ox] = sum / divisor(geom, hw, [oy, ox], ny * nx) as f32;
            }
        }
    }
}

/// Maximum over each window of each plane, for any ordered element; `lowest` is the result of an empty window.
///
/// # Panics
/// When the slices are not whole planes of these extents.
pub fn max_pool<T: Copy + PartialOrd>(
    geom: &PoolGeom,
    lowest: T,
    x: &[T],
    hw: [usize; 2],
    out: &mut [T],
    out_hw: [usize; 2],
) {
    let pick = |a: T, b: T| if b > a { b } else { a };
    let columns: Vec<(usize, usize)> = (0..out_hw[1]).map(|o| inside(geom, 1, o, hw[1])).collect();
    let mut column_max = vec![lowest; hw[1]];
    for (x, y) in x.chunks_exact(hw[0] * hw[1]).zip(out.chunks_exact_mut(out_hw[0] * out_hw[1])) {
        for (oy, line) in y.chunks_exact_mut(out_hw[1]).enumerate() {
            let (y0, ny) = inside(geom, 0, oy, hw[0]);
            column_max.fill(lowest);
            for r in 0..ny {
                let row = &x[(y0 + r * geom.dilations[0]) * hw[1]..][..hw[1]];
                column_max.iter_mut().zip(row).for_each(|(m, &v)| *m = pick(*m, v));
            }
            for (o, &(x0, nx)) in line.iter_mut().zip(&columns) {
                *o = (0..nx).fold(lowest, |m, c| pick(m, column_max[x0 + c * geom.dilations[1]]));
            }
        }
    }
}

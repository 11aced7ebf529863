//! What a Conv's filters read at chosen pixels of its output. Called by calibrate, which sums products of it.

use ptq_ir::ops::ConvGeom;

/// Rows of `1 + per_group · kernel` numbers, one for each of `pixels` (numbers of output pixels, row by row of the image): a one, then the
/// elements of `x` (`channels × image`, of which group `group` is read) in the order of the filter's weights, zero outside the image.
/// The result is `[pixels, 1 + k]`.
pub fn columns(
    x: &[f32],
    channels: usize,
    image: [usize; 2],
    geom: &ConvGeom,
    group: usize,
    pixels: &[usize],
) -> Vec<f32> {
    let per_group = channels / geom.group.max(1);
    let out_width = geom.out_hw(image).map_or(1, |[_, w]| w).max(1);
    let plane = image[0] * image[1];
    let mut out = Vec::with_capacity(pixels.len() * (1 + per_group * geom.kernel[0] * geom.kernel[1]));
    // `None` outside the image.
    let at = |o: usize, tap: usize, d: usize| {
        (o * geom.strides[d] + tap * geom.dilations[d]).checked_sub(geom.pads[d]).filter(|i| *i < image[d])
    };
    for &p in pixels {
        let (oy, ox) = (p / out_width, p % out_width);
        out.push(1.0);
        for c in group * per_group..(group + 1) * per_group {
            let channel = &x[c * plane..(c + 1) * plane];
            for ky in 0..geom.kernel[0] {
                let y = at(oy, ky, 0);
                for kx in 0..geom.kernel[1] {
                    out.push(match (y, at(ox, kx, 1)) {
                        (Some(y), Some(x)) => channel[y * image[1] + x],
                        _ => 0.0,
                    });
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ptq_kernels::{FloatConv, Isa};

    #[test]
    fn filters_times_columns_is_the_convolution() {
        let geom = ConvGeom { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1], dilations: [1, 2], group: 2 };
        let image = [7, 6];
        let number = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 8.0;
        let x: Vec<f32> = (0..4 * 42).map(number).collect();
        let weights: Vec<f32> = (0..6 * 2 * 6).map(|i| number(i * 7 + 3)).collect();
        let conv = FloatConv::pack(Isa::best(), &weights, 6, None, &geom, 4, image).expect("fits");
        let [h, w] = conv.out_hw();
        let mut expected = vec![0.0; 6 * h * w];
        conv.run(1, 1, &x, &mut expected).expect("runs");
        let pixels: Vec<usize> = (0..h * w).step_by(3).collect();
        for filter in 0..6 {
            let rows = columns(&x, 4, image, &geom, filter / 3, &pixels);
            for (row, &p) in rows.chunks_exact(13).zip(&pixels) {
                let got: f32 = row[1..].iter().zip(&weights[filter * 12..]).map(|(a, b)| a * b).sum();
                assert_eq!(row[0], 1.0);
                assert!((got - expected[filter * h * w + p]).abs() < 1e-2, "{filter} {p}: {got}");
            }
        }
    }
}

//! Depthwise convolution: one input channel a filter, without im2col.

use super::conv::FloatConv;
use crate::Isa;
use crate::planes::Planes;

/// One image. `out` holds the filters from `first` on.
pub(super) fn run(
    isa: Isa,
    conv: &FloatConv,
    weights: &[f32],
    x: &[f32],
    planes: &Planes,
    first: usize,
    out: &mut [f32],
) {
    let pixels = planes.out[0] * planes.out[1];
    let per_channel = conv.out_channels / conv.in_channels;
    let image = x.len() / conv.in_channels;
    let taps = planes.taps.len();
    let mut list = vec![(0usize, 0.0f32); taps];
    for (i, y) in out.chunks_exact_mut(pixels).enumerate() {
        let o = first + i;
        let channel = o / per_channel;
        let plane = planes.of(&x[channel * image..(channel + 1) * image], 1, 0.0);
        let w = &weights[o * taps..(o + 1) * taps];
        let bias = conv.bias[o];
        for (r, line) in y.chunks_exact_mut(planes.out[1]).enumerate() {
            for (slot, (&at, &w)) in list.iter_mut().zip(planes.taps.iter().zip(w)) {
                *slot = (r * planes.row_step + at, w);
            }
            row(isa, bias, &list, &plane, line);
        }
    }
}

/// `out[x]` = the chain of `w · plane[at + x]` over the taps, starting from the bias.
fn row(isa: Isa, bias: f32, taps: &[(usize, f32)], plane: &[f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        return super::avx2::taps_row(isa, bias, taps, plane, out);
    }
    let _ = isa;
    out.fill(bias);
    for &(at, w) in taps {
        out.iter_mut().zip(&plane[at..]).for_each(|(o, &p)| *o = w.mul_add(p, *o));
    }
}

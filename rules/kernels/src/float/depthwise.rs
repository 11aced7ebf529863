//! Depthwise convolution: one input channel a filter, without im2col.

#[cfg(target_arch = "x86_64")]
use super::avx512_depthwise::{Channel, Windows};
use super::conv::FloatConv;
use crate::Isa;
use crate::planes::Planes;

/// Images at least this wide are computed row by row; narrower ones as one long row that includes the columns between
/// the rows of the plane.
const WIDE: usize = 32;

/// One image. `out` holds the filters from `first` on.
pub(super) fn run(conv: &FloatConv, weights: &[f32], x: &[f32], planes: &Planes, first: usize, out: &mut [f32]) {
    let isa = conv.isa;
    let [height, width] = planes.out;
    let per_channel = conv.out_channels / conv.in_channels;
    let image = x.len() / conv.in_channels;
    let taps = planes.taps.len();
    #[cfg(target_arch = "x86_64")]
    {
        // An activation that does more than clip is applied afterwards.
        let (clip, rest) = conv.activation.clip_and_rest();
        if let Some(windows) = Windows::of(isa, &conv.geom, conv.image, planes.out, clip) {
            let channel = |o: usize| Channel {
                image: &x[o / per_channel * image..][..image],
                weights: &weights[o * taps..][..taps],
                bias: conv.bias[o],
            };
            let size = height * width;
            let together = if windows.is_narrow() { 2 } else { 1 };
            for (i, y) in out.chunks_mut(together * size).enumerate() {
                let o = first + i * together;
                if y.len() == 2 * size {
                    windows.run_two(isa, &[channel(o), channel(o + 1)], y);
                } else {
                    windows.run(isa, &channel(o), y);
                }
                rest.apply(isa, y);
            }
            return;
        }
    }
    let mut list = vec![(0usize, 0.0f32); taps];
    let mut padded = if planes.in_place() { Vec::new() } else { vec![0.0; planes.plane] };
    let flat = (height - 1) * planes.row_step + width;
    let mut long = if width < WIDE { vec![0.0; flat] } else { Vec::new() };
    for (i, y) in out.chunks_exact_mut(height * width).enumerate() {
        let o = first + i;
        let channel = &x[o / per_channel * image..][..image];
        let plane = if planes.in_place() {
            channel
        } else {
            planes.fill(channel, &mut padded);
            &padded
        };
        let w = &weights[o * taps..(o + 1) * taps];
        list.iter_mut().zip(planes.taps.iter().zip(w)).for_each(|(slot, (&at, &w))| *slot = (at, w));
        if long.is_empty() {
            for (r, line) in y.chunks_exact_mut(width).enumerate() {
                row(isa, conv.bias[o], &list, &plane[r * planes.row_step..], line);
            }
        } else {
            row(isa, conv.bias[o], &list, plane, &mut long);
            for (line, row) in y.chunks_exact_mut(width).zip(long.chunks(planes.row_step)) {
                line.copy_from_slice(&row[..width]);
            }
        }
        conv.activation.apply(isa, y);
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

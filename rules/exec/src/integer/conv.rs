//! Conv: `acc = bias[o] + Σ (x - x_zero) · w` in 32 bits (wrapping), with 16-bit `x` in 64 bits, then requantization.

use super::operand::{Operand, bad, tensor};
use crate::ExecError;
use ptq_ir::{DType, QConv, QTensor, Requant, Tensor};
use ptq_kernels::requant::{apply, apply_wide, store};
use ptq_kernels::{Isa, vectorized};

pub(super) fn run(conv: &QConv, operands: &[Operand<'_>], out: &QTensor) -> Result<Tensor, ExecError> {
    let [x, w, ..] = operands else { return Err(bad(out, "weights are missing".into())) };
    let ([batch, channels, height, width], [filters, depth, ..]) = (x.nchw()?, w.nchw()?);
    let geom = &conv.geom;
    let [oh, ow] = geom.out_hw([height, width]).ok_or_else(|| bad(out, "the window does not fit".into()))?;
    let fits = w.data.shape()[2..] == geom.kernel
        && depth * geom.group == channels
        && filters.is_multiple_of(geom.group)
        && entries_fit(conv.requant.as_ref(), filters);
    if !fits {
        return Err(bad(out, format!("weights {:?} do not fit input {:?}", w.data.shape(), x.data.shape())));
    }
    let wide = x.info.dtype == DType::I16;
    let zero = x.zero();
    let x: Vec<i32> = x.ints()?.into_iter().map(|v| v - zero).collect();
    let w = w.ints()?;
    let bias = match operands.get(2) {
        Some(b) => b.ints()?,
        None => vec![0; filters],
    };
    if bias.len() != filters {
        return Err(bad(out, format!("{} biases for {filters} filters", bias.len())));
    }
    let mut y = vec![0; batch * filters * oh * ow];
    let mut at = 0;
    let isa = Isa::best();
    // A kernel of one pixel may take the image as one row.
    let pixel = geom.kernel == [1, 1] && geom.strides == [1, 1] && geom.pads == [0; 4];
    let [size, window] = match pixel {
        true => [[1, height * width], [1, oh * ow]],
        false => [[height, width], [oh, ow]],
    };
    for image in x.chunks_exact(channels * height * width) {
        for o in 0..filters {
            let finish = |rounded| store(rounded, conv.out_zero, conv.clamp_lo, conv.clamp_hi);
            let first = o / (filters / geom.group) * depth;
            let planes = (0..depth).map(|c| {
                let plane = &image[(first + c) * height * width..][..height * width];
                (plane, &w[(o * depth + c) * geom.kernel[0] * geom.kernel[1]..])
            });
            // Plain loops, compiled for what this processor has.
            let result = &mut y[at..at + oh * ow];
            at += oh * ow;
            vectorized(isa, || {
                if wide {
                    let sums = sums(conv, planes, size, i64::from(bias[o]), window);
                    for (y, acc) in result.iter_mut().zip(sums) {
                        *y = match &conv.requant {
                            Some(requant) => finish(apply_wide(requant, o, acc)),
                            None => acc.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
                        };
                    }
                } else {
                    let sums = sums(conv, planes, size, bias[o], window);
                    for (y, acc) in result.iter_mut().zip(sums) {
                        *y = conv.requant.as_ref().map_or(acc, |requant| finish(apply(requant, o, acc)));
                    }
                }
            });
        }
    }
    tensor(out, &[batch, filters, oh, ow], y)
}

/// An accumulator.
trait Sum: Copy {
    fn plus(self, x: i32, w: i32) -> Self;
}

impl Sum for i32 {
    #[inline(always)]
    fn plus(self, x: i32, w: i32) -> i32 {
        self.wrapping_add(x.wrapping_mul(w))
    }
}

impl Sum for i64 {
    #[inline(always)]
    fn plus(self, x: i32, w: i32) -> i64 {
        self + i64::from(x) * i64::from(w)
    }
}

/// The accumulators of one filter: its bias, and the taps of each of its input channels.
#[inline(always)]
fn sums<'a, S: Sum>(
    conv: &QConv,
    planes: impl Iterator<Item = (&'a [i32], &'a [i32])>,
    image: [usize; 2],
    bias: S,
    out: [usize; 2],
) -> Vec<S> {
    let mut acc = vec![bias; out[0] * out[1]];
    if image[0] == 1 && image == out && conv.geom.kernel == [1, 1] && conv.geom.strides == [1, 1] {
        let planes: Vec<_> = planes.collect();
        for (i, acc) in acc.chunks_mut(BLOCK).enumerate() {
            block(&planes, i * BLOCK, acc);
        }
        return acc;
    }
    for (plane, taps) in planes {
        accumulate(conv, plane, image, taps, &mut acc, out);
    }
    acc
}

/// Pixels whose sums are made at once, so that they stay in registers while the channels pass.
const BLOCK: usize = 64;

/// Adds all channels of the pixels from `first` on to their sums; a kernel of one pixel.
#[inline(always)]
fn block<S: Sum>(planes: &[(&[i32], &[i32])], first: usize, acc: &mut [S]) {
    if let Ok(sums) = <&mut [S; BLOCK]>::try_from(&mut *acc) {
        let mut own = *sums;
        for (plane, taps) in planes {
            for (sum, &x) in own.iter_mut().zip(&plane[first..first + BLOCK]) {
                *sum = sum.plus(x, taps[0]);
            }
        }
        *sums = own;
        return;
    }
    for (plane, taps) in planes {
        for (sum, &x) in acc.iter_mut().zip(&plane[first..]) {
            *sum = sum.plus(x, taps[0]);
        }
    }
}

/// Adds one input channel's taps. Taps outside the image add nothing.
#[inline(always)]
fn accumulate<S: Sum>(
    conv: &QConv,
    plane: &[i32],
    [height, width]: [usize; 2],
    taps: &[i32],
    acc: &mut [S],
    [oh, ow]: [usize; 2],
) {
    let g = &conv.geom;
    for ky in 0..g.kernel[0] {
        for kx in 0..g.kernel[1] {
            let w = taps[ky * g.kernel[1] + kx];
            let columns = inside(kx * g.dilations[1], g.pads[1], g.strides[1], width, ow);
            if columns.is_empty() {
                continue;
            }
            for oy in inside(ky * g.dilations[0], g.pads[0], g.strides[0], height, oh) {
                let row = &plane[(oy * g.strides[0] + ky * g.dilations[0] - g.pads[0]) * width..][..width];
                let row = &row[columns.start * g.strides[1] + kx * g.dilations[1] - g.pads[1]..];
                let acc = &mut acc[oy * ow..][columns.clone()];
                // The same loop twice: without steps it becomes vector instructions.
                if g.strides[1] == 1 {
                    for (acc, &x) in acc.iter_mut().zip(row) {
                        *acc = acc.plus(x, w);
                    }
                } else {
                    for (acc, &x) in acc.iter_mut().zip(row.iter().step_by(g.strides[1])) {
                        *acc = acc.plus(x, w);
                    }
                }
            }
        }
    }
}

/// Output indices `o` with `0 <= o · stride + tap - pad < extent`.
fn inside(tap: usize, pad: usize, stride: usize, extent: usize, outputs: usize) -> std::ops::Range<usize> {
    let first = pad.saturating_sub(tap).div_ceil(stride);
    let end = (extent + pad).saturating_sub(tap).div_ceil(stride).min(outputs);
    first.min(end)..end
}

fn entries_fit(requant: Option<&Requant>, filters: usize) -> bool {
    let n = match requant {
        None => return true,
        Some(Requant::Float(m)) => m.len(),
        Some(Requant::Fixed(m)) => m.len(),
    };
    n == 1 || n == filters
}

//! Images padded and split by stride phase, so that every tap of a window reads a contiguous run of pixels.
//!
//! With strides `(sy, sx)`, pixel `(y, x)` of the padded image is stored in phase `(y % sy, x % sx)` at
//! `(y / sy, x / sx)`. The pixels that one tap reads for neighbouring outputs are then neighbours, whatever the
//! strides, and consecutive output rows are always [`Planes::row_step`] apart.

use crate::KernelError;
use ptq_ir::ops::ConvGeom;
use std::borrow::Cow;

/// Where the taps of a window are in the planes of an image.
#[derive(Clone, Debug)]
pub(crate) struct Planes {
    /// Elements of one channel's plane.
    pub(crate) plane: usize,
    /// Step from one output row to the next.
    pub(crate) row_step: usize,
    /// Offset of each tap, row by row of the kernel.
    pub(crate) taps: Vec<usize>,
    /// Output height and width.
    pub(crate) out: [usize; 2],
    /// Whether the image can be read in place.
    in_place: bool,
    /// Rows of the padded image that windows reach.
    rows: usize,
    strides: [usize; 2],
    /// Elements of one phase.
    phase: usize,
    input: [usize; 2],
    pads: [usize; 2],
}

/// Refuses a window without extent.
pub(crate) fn check_window(geom: &ConvGeom) -> Result<(), KernelError> {
    let positive = |v: &[usize]| v.iter().all(|&n| n > 0);
    if positive(&geom.kernel) && positive(&geom.strides) && positive(&geom.dilations) {
        return Ok(());
    }
    Err(KernelError::Geometry("kernel, strides and dilations must be positive".into()))
}

impl Planes {
    /// The planes of an image of extent `input`.
    pub(crate) fn new(geom: &ConvGeom, input: [usize; 2]) -> Result<Planes, KernelError> {
        check_window(geom)?;
        let out =
            geom.out_hw(input).ok_or_else(|| KernelError::Geometry(format!("window does not fit image {input:?}")))?;
        let need = |d: usize| (out[d] - 1) * geom.strides[d] + (geom.kernel[d] - 1) * geom.dilations[d] + 1;
        let (rows, cols) = (need(0), need(1));
        let pads = [geom.pads[0], geom.pads[1]];
        let strides = geom.strides;
        let in_place = pads == [0, 0] && strides == [1, 1] && cols <= input[1] && rows <= input[0];
        let row_step = if in_place { input[1] } else { cols.div_ceil(strides[1]) };
        let phase = if in_place { input[0] * input[1] } else { rows.div_ceil(strides[0]) * row_step };
        let taps = (0..geom.kernel[0] * geom.kernel[1])
            .map(|t| {
                let (y, x) = (t / geom.kernel[1] * geom.dilations[0], t % geom.kernel[1] * geom.dilations[1]);
                let [sy, sx] = strides;
                (y % sy * sx + x % sx) * phase + y / sy * row_step + x / sx
            })
            .collect();
        let plane = phase * strides[0] * strides[1];
        Ok(Planes { plane, row_step, taps, out, in_place, rows, strides, phase, input, pads })
    }

    /// Whether the image can be read in place, one channel after the other.
    pub(crate) fn in_place(&self) -> bool {
        self.in_place
    }

    /// The planes of `channels` channels of an image, borrowed when nothing has to move.
    pub(crate) fn of<'a, T: Copy>(&self, x: &'a [T], channels: usize, zero: T) -> Cow<'a, [T]> {
        let image = self.input[0] * self.input[1];
        if self.in_place {
            return Cow::Borrowed(&x[..channels * image]);
        }
        let mut out = vec![zero; channels * self.plane];
        for c in 0..channels {
            self.fill(&x[c * image..(c + 1) * image], &mut out[c * self.plane..(c + 1) * self.plane]);
        }
        Cow::Owned(out)
    }

    /// Copies one channel into its plane and writes 0 around it. Inlined, so that vector code comes from the caller's instructions.
    #[inline(always)]
    pub(crate) fn fill_padded(&self, x: &[f32], plane: &mut [f32]) {
        let ([height, width], [top, left], [sy, sx]) = (self.input, self.pads, self.strides);
        for (number, part) in plane.chunks_exact_mut(self.phase).enumerate() {
            let (py, px) = (number / sx, number % sx);
            // The first stored column of this phase that lies inside the image, and how many do.
            let first = left.saturating_sub(px).div_ceil(sx).min(self.row_step);
            let from = first * sx + px - left.min(first * sx + px);
            let n = width.saturating_sub(from).div_ceil(sx).min(self.row_step - first);
            for (r, out) in part.chunks_exact_mut(self.row_step).enumerate() {
                let row = r * sy + py;
                let source = row.checked_sub(top).filter(|&y| n > 0 && y < height && row < self.rows);
                let Some(y) = source else {
                    out.fill(0.0);
                    continue;
                };
                let source = &x[y * width..][from..width];
                out[..first].fill(0.0);
                out[first + n..].fill(0.0);
                let inside = &mut out[first..first + n];
                match sx {
                    1 => inside.copy_from_slice(&source[..n]),
                    2 => {
                        // Pairs of known length become vector code.
                        let (pairs, last) = source.as_chunks::<2>();
                        inside.iter_mut().zip(pairs).for_each(|(t, pair)| *t = pair[0]);
                        if let (Some(t), Some(s)) = (inside.get_mut(pairs.len()), last.first()) {
                            *t = *s;
                        }
                    }
                    _ => inside.iter_mut().zip(source.iter().step_by(sx)).for_each(|(t, s)| *t = *s),
                }
            }
        }
    }

    /// Copies one channel into its plane, whose border already holds the padding value.
    pub(crate) fn fill<T: Copy>(&self, x: &[T], plane: &mut [T]) {
        let [height, width] = self.input;
        let [sy, sx] = self.strides;
        for row in self.pads[0]..self.rows.min(self.pads[0] + height) {
            let source = &x[(row - self.pads[0]) * width..][..width];
            for px in 0..sx {
                let run = &mut plane[(row % sy * sx + px) * self.phase + row / sy * self.row_step..][..self.row_step];
                // The first stored column of this phase that lies inside the image.
                let first = self.pads[1].saturating_sub(px).div_ceil(sx);
                let from = first * sx + px - self.pads[1];
                if first >= run.len() || from >= width {
                    continue;
                }
                if sx == 1 {
                    let n = (width - from).min(run.len() - first);
                    run[first..first + n].copy_from_slice(&source[from..from + n]);
                } else if sx == 2 {
                    // Pairs of known length become vector code.
                    let (pairs, last) = source[from..].as_chunks::<2>();
                    let to = &mut run[first..];
                    to.iter_mut().zip(pairs).for_each(|(t, pair)| *t = pair[0]);
                    if let (Some(t), Some(s)) = (to.get_mut(pairs.len()), last.first()) {
                        *t = *s;
                    }
                } else {
                    run[first..].iter_mut().zip(source[from..].iter().step_by(sx)).for_each(|(t, s)| *t = *s);
                }
            }
        }
    }
}

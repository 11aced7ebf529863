//! Images padded and split by stride phase, so that every tap of a window reads a contiguous run of pixels.
//!
//! With column stride `s`, column `c` of the padded image is stored in phase `c % s` at `c / s`. The pixels that
//! one tap reads for neighbouring outputs are then neighbours, whatever the stride.

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
    rows: usize,
    phases: usize,
    phase_len: usize,
    input: [usize; 2],
    pads: [usize; 2],
}

impl Planes {
    /// The planes of an image of extent `input`; `None` when the window does not fit.
    pub(crate) fn new(geom: &ConvGeom, input: [usize; 2]) -> Option<Planes> {
        let out = geom.out_hw(input)?;
        let need = |d: usize| (out[d] - 1) * geom.strides[d] + (geom.kernel[d] - 1) * geom.dilations[d] + 1;
        let (rows, cols) = (need(0), need(1));
        let in_place =
            geom.pads[0] == 0 && geom.pads[1] == 0 && geom.strides[1] == 1 && cols <= input[1] && rows <= input[0];
        let phases = geom.strides[1];
        let phase_len = if in_place { input[1] } else { cols.div_ceil(phases) };
        let row_len = phase_len * phases;
        let taps = (0..geom.kernel[0] * geom.kernel[1])
            .map(|t| {
                let (y, x) = (t / geom.kernel[1] * geom.dilations[0], t % geom.kernel[1] * geom.dilations[1]);
                y * row_len + x % phases * phase_len + x / phases
            })
            .collect();
        let plane = if in_place { input[0] * input[1] } else { rows * row_len };
        let row_step = geom.strides[0] * row_len;
        let pads = [geom.pads[0], geom.pads[1]];
        Some(Planes { plane, row_step, taps, out, in_place, rows, phases, phase_len, input, pads })
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

    /// Copies one channel into its plane, whose border already holds the padding value.
    fn fill<T: Copy>(&self, x: &[T], plane: &mut [T]) {
        let [height, width] = self.input;
        let row_len = self.phases * self.phase_len;
        for row in self.pads[0]..self.rows.min(self.pads[0] + height) {
            let source = &x[(row - self.pads[0]) * width..][..width];
            let target = &mut plane[row * row_len..][..row_len];
            for (phase, run) in target.chunks_exact_mut(self.phase_len).enumerate() {
                // The first stored column of this phase that lies inside the image.
                let first = self.pads[1].saturating_sub(phase).div_ceil(self.phases);
                let from = first * self.phases + phase - self.pads[1];
                if first >= run.len() || from >= width {
                    continue;
                }
                if self.phases == 1 {
                    let n = (width - from).min(run.len() - first);
                    run[first..first + n].copy_from_slice(&source[from..from + n]);
                } else {
                    run[first..].iter_mut().zip(source[from..].iter().step_by(self.phases)).for_each(|(t, s)| *t = *s);
                }
            }
        }
    }
}

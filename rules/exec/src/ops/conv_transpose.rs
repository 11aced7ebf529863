//! ConvTranspose: packed kernels for one and two spatial dimensions.

use super::conv::with_height;
use super::conv_transpose_nd;
use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;
use ptq_ir::ops::{ConvGeom, TransposedWindow};
use ptq_kernels::{FloatConv, Isa};

/// The convolution of the image with zeros between its pixels by the mirrored weights (which is what a transposed
/// convolution is), so that its chains run in the order of input channel, row and column too.
pub(super) fn conv_transpose(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, w) = (call.input(0)?, call.input(1)?);
    if x.shape().len() > 4 {
        return conv_transpose_nd::conv_transpose(call);
    }
    let x4 = with_height(call, x.shape())?;
    let t = Transposed::of(call, x4, with_height(call, w.shape())?)?;
    let bias = call.optional(2).map(Tensor::f32s).transpose()?;
    let g = &t.geom;
    let [h, width] = g.out_hw(t.spread_hw).ok_or_else(|| call.bad("the window does not fit"))?;
    let mut shape = vec![x4[0], t.filters(), h, width];
    let mut out = vec![0.0; call.bounded(&shape)?];
    // Windows that neither overlap nor leave gaps: every output pixel has one tap, a pointwise convolution.
    let unpadded = t.crop == [0, 0] && g.pads[0] + 1 == g.kernel[0] && g.pads[1] + 1 == g.kernel[1];
    let tiled = g.kernel == t.strides && g.dilations == [1, 1];
    if unpadded && tiled && [h, width] == [x4[2] * g.kernel[0], x4[3] * g.kernel[1]] {
        t.pointwise(x4[0], x.f32s()?, w.f32s()?, bias, &mut out)?;
    } else {
        let (weights, spread) = (t.mirrored(w.f32s()?), t.spread(x.f32s()?));
        let plan = FloatConv::pack(Isa::best(), &weights, t.filters(), bias, g, t.channels, t.spread_hw)?;
        plan.run(1, x4[0], &spread, &mut out)?;
    }
    if x.shape().len() == 3 {
        shape.remove(2);
    }
    Ok(Tensor::from_f32(shape, out)?)
}

/// Geometry of a transposed convolution.
struct Transposed {
    channels: usize,
    filters_of_group: usize,
    input_hw: [usize; 2],
    /// Extent of the image with zeros between (and, for output padding, behind) its pixels and cropped by negative pads.
    spread_hw: [usize; 2],
    /// First row and column of the spread image that is kept.
    crop: [usize; 2],
    strides: [usize; 2],
    /// The equal convolution.
    geom: ConvGeom,
}

impl Transposed {
    fn of(call: &Call<'_>, x: [usize; 4], w: [usize; 4]) -> Result<Transposed, ExecError> {
        let group = usize::try_from(call.attrs.int("group", 1)).unwrap_or(0);
        if group == 0 || x[1] != w[0] || !x[1].is_multiple_of(group) || w.contains(&0) || x.contains(&0) {
            return Err(call.bad(format!("weights {w:?} in {group} groups do not fit input {x:?}")));
        }
        let spatial = call.input(0)?.shape().len() - 2;
        let window = TransposedWindow::of(&call.node(), &x[4 - spatial..], &w[4 - spatial..])?;
        // One spatial axis is the width of an image of height 1.
        let pair = |v: &[usize], default: usize| [if spatial == 1 { default } else { v[0] }, v[spatial - 1]];
        let (strides, dilations) = (pair(&window.strides, 1), pair(&window.dilations, 1));
        let extra = pair(&window.extra, 0);
        let (before, after): (Vec<usize>, Vec<usize>) = window.pads.iter().map(|p| (p[0], p[1])).unzip();
        let ([top, left], [bottom, right]) = (pair(&before, 0), pair(&after, 0));
        let pads = [top, left, bottom, right];
        let (mut spread_hw, mut crop, mut conv_pads) = ([0; 2], [0; 2], [0; 4]);
        for d in 0..2 {
            let reach = (w[2 + d] - 1) * dilations[d];
            let full = (x[2 + d] - 1) * strides[d] + 1;
            // Pads beyond the kernel's reach cut pixels off.
            crop[d] = pads[d].saturating_sub(reach);
            conv_pads[d] = reach.saturating_sub(pads[d]);
            conv_pads[d + 2] = (reach + extra[d]).saturating_sub(pads[d + 2]);
            let behind = pads[d + 2].saturating_sub(reach + extra[d]);
            spread_hw[d] = full
                .checked_sub(crop[d] + behind)
                .filter(|&n| n > 0)
                .ok_or_else(|| call.bad("pads leave nothing of the output"))?;
        }
        let geom = ConvGeom { kernel: [w[2], w[3]], strides: [1, 1], pads: conv_pads, dilations, group };
        call.bounded(&[x[0], x[1], spread_hw[0], spread_hw[1]])?;
        let filters_of_group = w[1];
        Ok(Transposed { channels: x[1], filters_of_group, input_hw: [x[2], x[3]], spread_hw, crop, strides, geom })
    }

    fn filters(&self) -> usize {
        self.filters_of_group * self.geom.group
    }

    /// Weights `[channel][filter of group][kh][kw]` as `[filter][channel of group][kh][kw]`, turned by 180 degrees.
    fn mirrored(&self, w: &[f32]) -> Vec<f32> {
        let taps = self.geom.kernel[0] * self.geom.kernel[1];
        let per_group = self.channels / self.geom.group;
        let mut out = Vec::with_capacity(w.len());
        for g in 0..self.geom.group {
            for o in 0..self.filters_of_group {
                for c in g * per_group..(g + 1) * per_group {
                    let kernel = &w[(c * self.filters_of_group + o) * taps..][..taps];
                    out.extend(kernel.iter().rev());
                }
            }
        }
        out
    }

    /// Kernel equal to stride: one filter for each pixel of the kernel, whose results are then interleaved.
    fn pointwise(
        &self,
        batch: usize,
        x: &[f32],
        w: &[f32],
        bias: Option<&[f32]>,
        out: &mut [f32],
    ) -> Result<(), ExecError> {
        let [kh, kw] = self.geom.kernel;
        let [h, width] = self.input_hw;
        let taps = kh * kw;
        let per_group = self.channels / self.geom.group;
        let mut weights = Vec::with_capacity(w.len());
        for g in 0..self.geom.group {
            for o in 0..self.filters_of_group * taps {
                let row = self.filters_of_group * taps;
                weights.extend((g * per_group..(g + 1) * per_group).map(|c| w[c * row + o]));
            }
        }
        let bias: Option<Vec<f32>> = bias.map(|b| b.iter().flat_map(|&v| std::iter::repeat_n(v, taps)).collect());
        let geom =
            ConvGeom { kernel: [1, 1], strides: [1, 1], pads: [0; 4], dilations: [1, 1], group: self.geom.group };
        let filters = self.filters() * taps;
        let plan =
            FloatConv::pack(Isa::best(), &weights, filters, bias.as_deref(), &geom, self.channels, self.input_hw)?;
        let mut planes = vec![0.0; batch * filters * h * width];
        plan.run(1, batch, x, &mut planes)?;
        for (i, plane) in planes.chunks_exact(h * width).enumerate() {
            let (image, tap) = (i / taps, i % taps);
            let image = &mut out[image * h * width * taps..][..h * width * taps];
            for (y, row) in plane.chunks_exact(width).enumerate() {
                let line = &mut image[(y * kh + tap / kw) * width * kw..][..width * kw];
                line[tap % kw..].iter_mut().step_by(kw).zip(row).for_each(|(o, &v)| *o = v);
            }
        }
        Ok(())
    }

    /// All images with `stride - 1` zeros between neighbours.
    fn spread(&self, x: &[f32]) -> Vec<f32> {
        let [h, w] = self.input_hw;
        let [sh, sw] = self.spread_hw;
        let mut out = vec![0.0; x.len() / (h * w) * sh * sw];
        for (plane, image) in out.chunks_exact_mut(sh * sw).zip(x.chunks_exact(h * w)) {
            for (r, row) in image.chunks_exact(w).enumerate() {
                let Some(y) = (r * self.strides[0]).checked_sub(self.crop[0]).filter(|&y| y < sh) else { continue };
                for (c, &v) in row.iter().enumerate() {
                    if let Some(x) = (c * self.strides[1]).checked_sub(self.crop[1]).filter(|&x| x < sw) {
                        plane[y * sw + x] = v;
                    }
                }
            }
        }
        out
    }
}

//! Integer convolution with weights packed once.

use super::Sign;
use super::depthwise::{Depthwise, Taps};
use super::finish::Finish;
use super::prepare::{finishes, folded_bias, taps_first};
use super::sink::{Accumulators, Quantized, Sink};
use super::tile::{self, MR, NR, Panels, Pixels};
use crate::error::expect_len;
use crate::planes::check_window;
use crate::{Isa, KernelError, parallel};
use ptq_ir::Requant;
use ptq_ir::ops::ConvGeom;
use std::borrow::Cow;

/// Bytes of pixel windows that are packed together; they stay in the second-level cache.
const BLOCK_BYTES: usize = 1 << 17;

/// What a convolution computes: `acc = bias[o] + Σ (x - input_zero) · w`, then
/// `clamp(requant(acc) + out_zero, clamp)`. Taps outside the image add nothing.
#[derive(Clone, Debug)]
pub struct IntConvSpec<'a> {
    /// Weights, OIHW.
    pub weights: &'a [i8],
    /// Number of filters.
    pub filters: usize,
    /// One for each filter.
    pub bias: Option<&'a [i32]>,
    /// Kernel, strides, pads, dilations, groups.
    pub geom: &'a ConvGeom,
    /// Input channels.
    pub channels: usize,
    /// Input height and width.
    pub image: [usize; 2],
    /// How input bytes are read.
    pub input: Sign,
    /// Input zero point.
    pub input_zero: i32,
    /// One entry, or one for each filter; `None` when the accumulator is the result.
    pub requant: Option<&'a Requant>,
    /// Output zero point.
    pub out_zero: i32,
    /// Lowest and highest output.
    pub clamp: (i32, i32),
}

/// A 2-D integer convolution of a fixed image size. Layout NHWC; output bytes are two's complement.
#[derive(Clone, Debug)]
pub struct IntConv {
    isa: Isa,
    geom: ConvGeom,
    channels: usize,
    filters: usize,
    image: [usize; 2],
    out: [usize; 2],
    input: Sign,
    /// Input byte that stands for the zero point.
    pad: u8,
    /// Bias with the zero point's share folded in, panel by panel for each group.
    bias: Vec<i32>,
    finish: Option<Vec<Finish>>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    /// Panels of each group.
    Windows(Vec<Panels>),
    Depthwise(Depthwise),
}

impl IntConv {
    /// Packs weights for an instruction set.
    ///
    /// # Errors
    /// When weights, bias, requantization, channels and window do not fit.
    pub fn pack(isa: Isa, spec: &IntConvSpec<'_>) -> Result<IntConv, KernelError> {
        let geom = spec.geom;
        check_window(geom)?;
        let whole = |n: usize| n > 0 && n.is_multiple_of(geom.group);
        if geom.group == 0 || !whole(spec.channels) || !whole(spec.filters) {
            let (c, f, g) = (spec.channels, spec.filters, geom.group);
            return Err(KernelError::Geometry(format!("{c} channels, {f} filters in {g} groups")));
        }
        let out = geom
            .out_hw(spec.image)
            .ok_or_else(|| KernelError::Geometry(format!("window does not fit image {:?}", spec.image)))?;
        let (depth, filters) = (spec.channels / geom.group, spec.filters / geom.group);
        let taps = geom.kernel[0] * geom.kernel[1];
        expect_len("weights", spec.weights.len(), spec.filters * depth * taps)?;
        expect_len("bias", spec.bias.map_or(spec.filters, <[i32]>::len), spec.filters)?;
        let (lo, hi) = spec.input.range();
        if !(lo..=hi).contains(&spec.input_zero) {
            return Err(KernelError::Geometry(format!("zero point {} is not an input value", spec.input_zero)));
        }
        let depthwise = depth == 1 && filters == 1;
        let body = if depthwise {
            Body::Depthwise(Depthwise::pack(spec.weights, spec.channels, taps))
        } else {
            let groups = spec.weights.chunks_exact(filters * depth * taps);
            Body::Windows(
                groups.map(|w| Panels::pack(isa, &taps_first(w, depth, taps), filters, depth * taps)).collect(),
            )
        };
        // One group of many filters, or for depthwise one run of channels.
        let per_group = if depthwise { spec.filters } else { filters };
        let finish = spec.requant.map(|r| finishes(r, per_group, spec)).transpose()?;
        let offset = match &body {
            Body::Windows(panels) => panels.first().map_or(0, |p| p.offset(spec.input)),
            Body::Depthwise(_) => 0,
        };
        let bias = folded_bias(spec, per_group, depth * taps, offset);
        let pad = spec.input_zero as u8;
        let (geom, channels, filters) = (*geom, spec.channels, spec.filters);
        Ok(IntConv { isa, geom, channels, filters, image: spec.image, out, input: spec.input, pad, bias, finish, body })
    }

    /// Output height and width.
    pub fn out_hw(&self) -> [usize; 2] {
        self.out
    }

    /// Number of filters.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// Convolves `batch` images to requantized bytes.
    ///
    /// # Errors
    /// When a slice does not have the size of its shape, or the convolution has no requantization.
    pub fn run(&self, threads: usize, batch: usize, x: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let finish = self
            .finish
            .as_ref()
            .ok_or_else(|| KernelError::Geometry("a convolution without requantization gives int32".into()))?;
        self.images(threads, batch, x, out, &Quantized(finish))
    }

    /// Convolves `batch` images to accumulators.
    ///
    /// # Errors
    /// When a slice does not have the size of its shape.
    pub fn run_i32(&self, threads: usize, batch: usize, x: &[u8], out: &mut [i32]) -> Result<(), KernelError> {
        self.images(threads, batch, x, out, &Accumulators)
    }

    fn images<S: Sink>(
        &self,
        threads: usize,
        batch: usize,
        x: &[u8],
        out: &mut [S::Out],
        sink: &S,
    ) -> Result<(), KernelError> {
        let image = self.image[0] * self.image[1] * self.channels;
        let result = self.out[0] * self.out[1] * self.filters;
        expect_len("input", x.len(), batch * image)?;
        expect_len("output", out.len(), batch * result)?;
        let taps = self.geom.kernel[0] * self.geom.kernel[1];
        let work = result * self.channels / self.geom.group * taps;
        for (x, y) in x.chunks_exact(image).zip(out.chunks_exact_mut(result)) {
            let padded = self.padded(x);
            parallel::split(threads, work, y, MR * self.filters, |tile, y| match &self.body {
                Body::Windows(panels) => self.windows(&padded, panels, tile * MR, y, sink),
                Body::Depthwise(body) => self.depthwise(&padded, body, tile * MR, y, sink),
            });
        }
        Ok(())
    }

    /// Height and width that the windows cover.
    fn padded_hw(&self) -> [usize; 2] {
        let need = |d: usize| {
            let g = &self.geom;
            let reach = (self.out[d] - 1) * g.strides[d] + (g.kernel[d] - 1) * g.dilations[d] + 1;
            reach.max(g.pads[d] + self.image[d])
        };
        [need(0), need(1)]
    }

    /// The image with its border of zero points, borrowed when there is none. Sixteen bytes of slack follow, so that
    /// vectors of channels can be read whole.
    fn padded<'a>(&self, x: &'a [u8]) -> Cow<'a, [u8]> {
        let [h, w] = self.padded_hw();
        let slack = matches!(self.body, Body::Depthwise(_)) && !self.channels.is_multiple_of(NR);
        if [h, w] == self.image && !slack {
            return Cow::Borrowed(x);
        }
        let row = self.image[1] * self.channels;
        let mut out = vec![self.pad; h * w * self.channels + NR];
        for (y, line) in x.chunks_exact(row).enumerate() {
            let at = ((y + self.geom.pads[0]) * w + self.geom.pads[1]) * self.channels;
            out[at..at + row].copy_from_slice(line);
        }
        Cow::Owned(out)
    }

    /// First byte of the window of output pixel `p`.
    #[inline(always)]
    fn corner(&self, p: usize, row: usize) -> usize {
        let (y, x) = (p / self.out[1], p % self.out[1]);
        y * self.geom.strides[0] * row + x * self.geom.strides[1] * self.channels
    }

    fn windows<S: Sink>(&self, x: &[u8], panels: &[Panels], first: usize, out: &mut [S::Out], sink: &S) {
        let filters = self.filters / self.geom.group;
        let k = self.channels / self.geom.group * self.geom.kernel[0] * self.geom.kernel[1];
        let quads = matches!(panels.first(), Some(Panels::Quads(_)));
        let depth = k.next_multiple_of(if quads { 4 } else { 2 });
        let pixels = out.len() / self.filters;
        let block = (BLOCK_BYTES / depth / MR).clamp(1, 64) * MR;
        let mut packed = if quads { Pixels::Bytes(Vec::new()) } else { Pixels::Wide(Vec::new()) };
        let mut acc = [[0; NR]; MR];
        for p0 in (0..pixels).step_by(block) {
            let n = block.min(pixels - p0);
            for (g, panels) in panels.iter().enumerate() {
                match &mut packed {
                    Pixels::Wide(out) => match self.input {
                        Sign::Unsigned => self.pack_pixels(x, g, first + p0, n, depth, out, i16::from),
                        Sign::Signed => self.pack_pixels(x, g, first + p0, n, depth, out, |b| i16::from(b as i8)),
                    },
                    Pixels::Bytes(out) => match self.input {
                        Sign::Unsigned => self.pack_pixels(x, g, first + p0, n, depth, out, |b| b),
                        // Adding 128 to a signed byte is flipping its top bit.
                        Sign::Signed => self.pack_pixels(x, g, first + p0, n, depth, out, |b| b ^ 0x80),
                    },
                }
                for panel in 0..filters.div_ceil(NR) {
                    let bias = bias_of(&self.bias, g * filters.div_ceil(NR) + panel);
                    let columns = NR.min(filters - panel * NR);
                    for tile in 0..n.div_ceil(MR) {
                        tile::run(self.isa, &packed, depth, tile, panels, panel, &mut acc);
                        let rows = MR.min(n - tile * MR);
                        let at = (p0 + tile * MR) * self.filters + g * filters + panel * NR;
                        let place = (self.filters, columns);
                        sink.rows(self.isa, (g, panel), bias, &acc[..rows], &mut out[at..], place);
                    }
                }
            }
        }
    }

    /// Packs the windows of `n` pixels from `first` on.
    fn pack_pixels<T: Copy + Default>(
        &self,
        x: &[u8],
        group: usize,
        first: usize,
        n: usize,
        depth: usize,
        out: &mut Vec<T>,
        convert: impl Fn(u8) -> T,
    ) {
        out.clear();
        out.resize(n.div_ceil(MR) * MR * depth, T::default());
        let copy = |from: &[u8], to: &mut [T]| to.iter_mut().zip(from).for_each(|(t, &s)| *t = convert(s));
        let pointwise = self.geom.kernel == [1, 1] && self.geom.strides == [1, 1] && self.geom.pads == [0; 4];
        if pointwise && self.geom.group == 1 && depth == self.channels {
            return copy(&x[first * depth..(first + n) * depth], &mut out[..n * depth]);
        }
        let row = self.padded_hw()[1] * self.channels;
        for (i, to) in out.chunks_exact_mut(depth).enumerate().take(n) {
            self.runs(group, first + i, row, |from, at, len| copy(&x[from..from + len], &mut to[at..at + len]));
        }
    }

    /// The contiguous runs of the window of pixel `p`: `(from, to, length)`.
    #[inline(always)]
    fn runs(&self, group: usize, p: usize, row: usize, mut copy: impl FnMut(usize, usize, usize)) {
        let g = &self.geom;
        let per_group = self.channels / g.group;
        let corner = self.corner(p, row) + group * per_group;
        // Neighbouring columns are one run when they touch.
        let (columns, width) =
            if g.dilations[1] == 1 && g.group == 1 { (1, g.kernel[1] * per_group) } else { (g.kernel[1], per_group) };
        for ky in 0..g.kernel[0] {
            for kx in 0..columns {
                let from = corner + ky * g.dilations[0] * row + kx * g.dilations[1] * self.channels;
                copy(from, (ky * columns + kx) * width, width);
            }
        }
    }

    fn depthwise<S: Sink>(&self, x: &[u8], body: &Depthwise, first: usize, out: &mut [S::Out], sink: &S) {
        let row = self.padded_hw()[1] * self.channels;
        let g = &self.geom;
        let offsets = (0..g.kernel[0] * g.kernel[1])
            .map(|t| t / g.kernel[1] * g.dilations[0] * row + t % g.kernel[1] * g.dilations[1] * self.channels);
        let taps = Taps::new(offsets.collect());
        let signed = self.input == Sign::Signed;
        let mut acc = [[0; NR]; 1];
        for (i, y) in out.chunks_exact_mut(self.filters).enumerate() {
            let corner = self.corner(first + i, row);
            for (panel, y) in y.chunks_mut(NR).enumerate() {
                body.block(self.isa, signed, x, corner + panel * NR, &taps, panel, &mut acc[0]);
                let columns = y.len();
                sink.rows(self.isa, (0, panel), bias_of(&self.bias, panel), &acc, y, (columns, columns));
            }
        }
    }
}

/// The bias of one panel.
fn bias_of(bias: &[i32], panel: usize) -> &[i32; NR] {
    bias[panel * NR..].first_chunk().expect("invariant: biases are padded to whole panels")
}

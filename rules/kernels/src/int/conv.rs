//! Integer convolution with weights packed once.

use super::Sign;
use super::depthwise::Depthwise;
use super::finish::Finish;
use super::prepare::{finishes, folded_bias};
use super::sink::{Accumulators, Quantized, Sink};
use super::tile::Sums;
use super::windows::Windows;
use crate::error::expect_len;
use crate::planes::check_window;
use crate::{Isa, KernelError, parallel};
use ptq_ir::Requant;
use ptq_ir::ops::ConvGeom;

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
    filters: usize,
    /// Elements of one image and of its result.
    sizes: [usize; 2],
    out: [usize; 2],
    /// About what one image takes on one thread, in nanoseconds.
    nanoseconds: usize,
    /// Bias with the zero point's share folded in, panel by panel for each group.
    bias: Vec<Sums>,
    finish: Option<Vec<Finish>>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Windows(Windows),
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
        let k = depth * geom.kernel[0] * geom.kernel[1];
        expect_len("weights", spec.weights.len(), spec.filters * k)?;
        expect_len("bias", spec.bias.map_or(spec.filters, <[i32]>::len), spec.filters)?;
        let (lo, hi) = spec.input.range();
        if !(lo..=hi).contains(&spec.input_zero) {
            return Err(KernelError::Geometry(format!("zero point {} is not an input value", spec.input_zero)));
        }
        let body = if depth == 1 && filters == 1 {
            Body::Depthwise(Depthwise::pack(isa, spec, out))
        } else {
            Body::Windows(Windows::pack(isa, spec, out))
        };
        // The filters of the columns of each group's panels.
        let (groups, offset) = match &body {
            Body::Depthwise(body) => (vec![body.columns()], 0),
            Body::Windows(body) => {
                ((0..geom.group).map(|g| (g * filters..(g + 1) * filters).collect()).collect(), body.offset())
            }
        };
        let finish = spec.requant.map(|r| finishes(r, &groups, spec)).transpose()?;
        let bias = folded_bias(spec, &groups, offset);
        let result = out[0] * out[1] * spec.filters;
        // Multiplications in a nanosecond, and a result's own cost.
        let nanoseconds = result * k / if matches!(body, Body::Depthwise(_)) { 16 } else { 64 } + result / 8;
        let sizes = [spec.image[0] * spec.image[1] * spec.channels, result];
        Ok(IntConv { filters: spec.filters, sizes, out, nanoseconds, bias, finish, body })
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
        let [image, result] = self.sizes;
        expect_len("input", x.len(), batch * image)?;
        expect_len("output", out.len(), batch * result)?;
        let unit = match &self.body {
            Body::Windows(body) => body.unit(),
            Body::Depthwise(body) => body.unit(),
        };
        for (x, y) in x.chunks_exact(image).zip(out.chunks_exact_mut(result)) {
            parallel::split(threads, self.nanoseconds, y, unit, |first, y| match &self.body {
                Body::Windows(body) => body.run(x, &self.bias, first * unit, y, sink),
                Body::Depthwise(body) => body.run(x, &self.bias, first * unit, y, sink),
            });
        }
        Ok(())
    }
}

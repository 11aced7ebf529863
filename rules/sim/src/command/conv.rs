//! CONV and DWCONV: convolution of a stripe of rows into a chunk of output channels.

use super::field::fields;
use crate::{Elem, Sram};
use ptq_ir::Rounding;

fields! {
    /// `out = clamp(requant(bias + Σ (x - x_zero)·w) + out_zero)`, or the accumulator itself when `out_type` is i32. The
    /// accumulator has 32 bits and wraps; for a 16-bit input it has 64, and an i32 output is saturated.
    ///
    /// All tiles are compact, apart from `ofm_pixel`: input and output height × width × channels, CONV weights output channel × kernel row ×
    /// kernel column × channel of the group, DWCONV weights kernel row × kernel column × channel. The tile holds
    /// exactly the image rows that the stripe reads, so a tap outside the tile is outside the image and adds nothing.
    pub struct Conv {
        /// Input tile.
        pub ifm: Sram,
        /// Weights, int8.
        pub weights: Sram,
        /// Per output channel 12 bytes: bias i32, multiplier (i32, or f32 with float rounding), shift u32.
        pub constants: Sram,
        /// Output tile.
        pub ofm: Sram,
        /// Input tile extents.
        pub in_hwc: [u16; 3],
        /// Output tile extents.
        pub out_hwc: [u16; 3],
        /// Kernel height and width.
        pub kernel: [u8; 2],
        /// Strides.
        pub strides: [u16; 2],
        /// Dilations.
        pub dilations: [u8; 2],
        /// Rows of padding in front of the tile's first row, for this stripe.
        pub pad_top: u16,
        /// Columns of padding in front of the first column.
        pub pad_left: u16,
        /// Input channels that one output channel reads.
        pub group_channels: u16,
        /// Channels from one output pixel to the next: those of the tile, of which this command computes some.
        pub ofm_pixel: u16,
        /// Input zero point.
        pub x_zero: i16,
        /// Output zero point.
        pub out_zero: i16,
        /// Lowest output.
        pub clamp_lo: i16,
        /// Highest output.
        pub clamp_hi: i16,
        /// Input type.
        pub x_type: Elem,
        /// Output type.
        pub out_type: Elem,
        /// How the accumulator is requantized.
        pub rounding: Rounding,
    }
}

impl Conv {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let [_, in_w, in_c] = self.in_hwc;
        if in_w == 0 || in_c == 0 || self.out_hwc.contains(&0) {
            return Err("an extent is zero");
        }
        if self.kernel.contains(&0) || self.strides.contains(&0) || self.dilations.contains(&0) {
            return Err("kernel, strides and dilations must be positive");
        }
        if self.ofm_pixel < self.out_hwc[2] {
            return Err("output pixels overlap");
        }
        if self.group_channels == 0 || !in_c.is_multiple_of(self.group_channels) {
            return Err("groups do not divide the input channels");
        }
        if !self.out_hwc[2].is_multiple_of(in_c / self.group_channels) {
            return Err("groups do not divide the output channels");
        }
        if self.x_type == Elem::I32 {
            return Err("input type is i32");
        }
        check_zero(self.x_type, self.x_zero)?;
        check_output(self.out_type, self.out_zero, self.clamp_lo, self.clamp_hi)
    }

    pub(crate) fn check_depthwise(&self) -> Result<(), &'static str> {
        if self.group_channels != 1 || self.in_hwc[2] != self.out_hwc[2] {
            return Err("a depthwise convolution has one input channel for each output channel");
        }
        self.check()
    }

    /// Bytes of the output from the first to behind the last one.
    pub(crate) fn ofm_reach(&self) -> u64 {
        let pixels = u64::from(self.out_hwc[0]) * u64::from(self.out_hwc[1]);
        ((pixels - 1) * u64::from(self.ofm_pixel) + u64::from(self.out_hwc[2])) * self.out_type.bytes() as u64
    }

    /// Multiply-accumulates of one run, taps in the padding included.
    pub fn macs(&self) -> u64 {
        let out: u64 = self.out_hwc.iter().map(|&v| u64::from(v)).product();
        out * u64::from(self.kernel[0]) * u64::from(self.kernel[1]) * u64::from(self.group_channels)
    }
}

/// A zero point must be a value of its type; a 16-bit type has none.
pub(crate) fn check_zero(elem: Elem, zero: i16) -> Result<(), &'static str> {
    if elem == Elem::I16 && zero != 0 {
        return Err("a 16-bit type has a zero point");
    }
    let (lo, hi) = elem.range();
    if (lo..=hi).contains(&i32::from(zero)) { Ok(()) } else { Err("a zero point is outside its type") }
}

/// Zero point and clamp must be values of the output type; an i32 output has neither.
pub(crate) fn check_output(elem: Elem, zero: i16, lo: i16, hi: i16) -> Result<(), &'static str> {
    if elem == Elem::I32 {
        return if (zero, lo, hi) == (0, 0, 0) { Ok(()) } else { Err("an i32 output has no zero point or clamp") };
    }
    check_zero(elem, zero)?;
    let (min, max) = elem.range();
    if lo > hi || i32::from(lo) < min || i32::from(hi) > max {
        return Err("the clamp is empty or outside the output type");
    }
    Ok(())
}

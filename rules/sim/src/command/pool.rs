//! POOL: maximum or average over windows, channel by channel.

use super::conv::{check_output, check_zero};
use super::field::{fields, word};
use crate::{Elem, Sram};
use ptq_ir::Rounding;

/// What a window becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest element; the type's lowest value when no tap is inside the image.
    Max,
    /// The requantized sum, by the constant for the number of taps inside the image; the zero point when there is none.
    Average,
}

word!(PoolKind, "kind of pool is unknown", [PoolKind::Max = "max", PoolKind::Average = "average"]);

/// Most taps of a window: their sum stays inside 31 bits.
const MAX_TAPS: u32 = 1 << 22;

fields! {
    /// Pool of one stripe. Tiles as in CONV; input and output have the same channels.
    pub struct Pool {
        /// Input tile.
        pub ifm: Sram,
        /// Average: 8 bytes for each tap count from `first_taps` on: multiplier (i32 or f32), shift u32.
        pub constants: Sram,
        /// Output tile.
        pub ofm: Sram,
        /// Input tile extents.
        pub in_hwc: [u16; 3],
        /// Output height and width.
        pub out_hw: [u16; 2],
        /// Window height and width.
        pub kernel: [u16; 2],
        /// Strides.
        pub strides: [u16; 2],
        /// Dilations.
        pub dilations: [u8; 2],
        /// Rows of padding in front of the tile's first row, for this stripe.
        pub pad_top: u16,
        /// Columns of padding in front of the first column.
        pub pad_left: u16,
        /// Average: tap count of the first constant.
        pub first_taps: u32,
        /// Average: number of constants.
        pub taps: u32,
        /// Input zero point.
        pub x_zero: i16,
        /// Output zero point.
        pub out_zero: i16,
        /// Maximum or average.
        pub kind: PoolKind,
        /// Type of input and output.
        pub elem: Elem,
        /// How an average is requantized.
        pub rounding: Rounding,
    }
}

impl Pool {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let [_, in_w, in_c] = self.in_hwc;
        if in_w == 0 || in_c == 0 || self.out_hw.contains(&0) {
            return Err("an extent is zero");
        }
        if self.kernel.contains(&0) || self.strides.contains(&0) || self.dilations.contains(&0) {
            return Err("window, strides and dilations must be positive");
        }
        let area = u32::from(self.kernel[0]) * u32::from(self.kernel[1]);
        if area > MAX_TAPS {
            return Err("the window is too large");
        }
        match self.kind {
            PoolKind::Max => {
                let unused = (self.constants.0, self.first_taps, self.taps, self.x_zero, self.out_zero);
                if unused != (0, 0, 0, 0, 0) || self.rounding != Rounding::Fixed {
                    return Err("a maximum has no constants");
                }
                Ok(())
            }
            PoolKind::Average => {
                let last = u64::from(self.first_taps) + u64::from(self.taps);
                if self.elem == Elem::I32 || self.first_taps == 0 || last > u64::from(area) + 1 {
                    return Err("constants do not fit the window");
                }
                check_zero(self.elem, self.x_zero)?;
                let (lo, hi) = self.elem.range();
                check_output(self.elem, self.out_zero, lo as i16, hi as i16)
            }
        }
    }
}

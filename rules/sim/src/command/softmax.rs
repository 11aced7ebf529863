//! SOFTMAX: the share of every element of a line in the line's sum of exponentials.

use super::conv::{check_output, check_zero};
use super::field::fields;
use crate::{Elem, Sram};
use ptq_ir::Rounding;
use ptq_kernels::requant::MAX_SHIFT;

/// Longest line: the sum of its parts stays inside 44 bits.
const MAX_LINE: u32 = 8192;

fields! {
    /// Along the middle one of three axes: with `e = table[largest q - q]` and `s` the sum of the line's `e`,
    /// `out = saturate(round(e·mul / s) + out_zero)`, one rounding.
    pub struct Softmax {
        /// Input tile.
        pub x: Sram,
        /// One u32 for each difference of two numbers of the type, 256 or 65,536.
        pub table: Sram,
        /// Output tile.
        pub ofm: Sram,
        /// Extents of both tiles, outermost first.
        pub dims: [u32; 3],
        /// Multiplier: an i32, or the bits of an f32.
        pub mul: u32,
        /// Output zero point.
        pub out_zero: i16,
        /// Type of input and output.
        pub elem: Elem,
        /// Rounding.
        pub rounding: Rounding,
        /// Right shift of fixed rounding; 0 with float rounding.
        pub shift: u8,
    }
}

impl Softmax {
    /// Bytes of the table.
    pub(crate) fn table_bytes(&self) -> u64 {
        4 << (8 * self.elem.bytes())
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.dims.contains(&0) {
            return Err("an extent is zero");
        }
        if self.dims[1] > MAX_LINE {
            return Err("the line is too long");
        }
        if self.elem == Elem::I32 {
            return Err("a type is i32");
        }
        check_zero(self.elem, self.out_zero)?;
        let (lo, hi) = self.elem.range();
        check_output(self.elem, self.out_zero, lo as i16, hi as i16)?;
        match self.rounding {
            Rounding::Fixed if self.shift > MAX_SHIFT => Err("the shift is too large"),
            Rounding::Float if self.shift != 0 => Err("float rounding has no shift"),
            _ => Ok(()),
        }
    }
}

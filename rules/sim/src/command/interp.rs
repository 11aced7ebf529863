//! INTERP: linear resize by tables of taps.

use super::conv::check_zero;
use super::field::fields;
use crate::{Elem, Sram};

fields! {
    /// Output pixel `(y, x)` is the weighted sum of four input pixels, rounded half away from zero. A row or column of
    /// the tables is three u16: first source index, second one, weight of the second in 2048ths.
    pub struct Interp {
        /// Input tile, rows × columns × channels.
        pub src: Sram,
        /// Output tile.
        pub dst: Sram,
        /// Taps of each output row.
        pub rows: Sram,
        /// Taps of each output column.
        pub cols: Sram,
        /// Input tile height and width.
        pub in_hw: [u16; 2],
        /// Output tile height and width.
        pub out_hw: [u16; 2],
        /// Image row of the tile's first row.
        pub row_base: u16,
        /// Channels of a pixel.
        pub channels: u32,
        /// Zero point of input and output.
        pub zero: i16,
        /// Type of input and output.
        pub elem: Elem,
    }
}

impl Interp {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.in_hw.contains(&0) || self.out_hw.contains(&0) || self.channels == 0 {
            return Err("an extent is zero");
        }
        if matches!(self.elem, Elem::I32 | Elem::I16) {
            return Err("the type has not 8 bits");
        }
        check_zero(self.elem, self.zero)
    }
}

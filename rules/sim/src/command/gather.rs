//! GATHER: nearest-neighbour resize by index tables.

use super::field::fields;
use crate::Sram;

fields! {
    /// Output pixel `(y, x)` copies input pixel `(rows[y] - row_base, cols[x])`; a pixel is `pixel_bytes` bytes.
    pub struct Gather {
        /// Input tile, rows × columns × pixel.
        pub src: Sram,
        /// Output tile.
        pub dst: Sram,
        /// One u16 for each output row.
        pub rows: Sram,
        /// One u16 for each output column.
        pub cols: Sram,
        /// Input tile height and width.
        pub in_hw: [u16; 2],
        /// Output tile height and width.
        pub out_hw: [u16; 2],
        /// Image row of the tile's first row.
        pub row_base: u16,
        /// Bytes of one pixel: channels × element size.
        pub pixel_bytes: u32,
    }
}

impl Gather {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.in_hw.contains(&0) || self.out_hw.contains(&0) || self.pixel_bytes == 0 {
            return Err("an extent is zero");
        }
        Ok(())
    }
}

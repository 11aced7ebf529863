//! LUT: table look-up, element by element.

use super::field::fields;
use crate::{Elem, Sram};

fields! {
    /// `out = table[q - lowest q of the input type]` for `count` elements; the table's bytes are the output's.
    pub struct Lut {
        /// Input.
        pub ifm: Sram,
        /// One result for each number of the input type, 256 or 65,536.
        pub table: Sram,
        /// Output.
        pub ofm: Sram,
        /// Elements.
        pub count: u32,
        /// Input type.
        pub x_type: Elem,
        /// 1 when results have 16 bits, 0 when they have 8.
        pub words: u8,
    }
}

impl Lut {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match (self.count, self.x_type) {
            (0, _) => Err("an extent is zero"),
            (_, Elem::I32) => Err("input type is i32"),
            _ if self.words > 1 => Err("the width of results is unknown"),
            _ => Ok(()),
        }
    }

    /// Bytes of a result.
    pub fn out_bytes(&self) -> usize {
        1 + usize::from(self.words)
    }

    /// Bytes of the table.
    pub fn table_bytes(&self) -> usize {
        self.out_bytes() << (8 * self.x_type.bytes())
    }
}

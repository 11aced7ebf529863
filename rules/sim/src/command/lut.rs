//! LUT: table look-up, element by element.

use super::field::fields;
use crate::{Elem, Sram};

fields! {
    /// `out = table[q - lowest q of the input type]` for `count` 8-bit elements; the table's bytes are the output's.
    pub struct Lut {
        /// Input.
        pub ifm: Sram,
        /// 256 bytes.
        pub table: Sram,
        /// Output.
        pub ofm: Sram,
        /// Elements.
        pub count: u32,
        /// Input type.
        pub x_type: Elem,
    }
}

impl Lut {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match (self.count, self.x_type) {
            (0, _) => Err("an extent is zero"),
            (_, Elem::I32) => Err("input type is i32"),
            _ => Ok(()),
        }
    }
}

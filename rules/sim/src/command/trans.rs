//! TRANS: strided copy inside SRAM.

use super::field::fields;
use crate::{Elem, Sram};

fields! {
    /// Compact output of four axes, outermost first; element `(i, j, k, l)` is read at
    /// `i·s0 + j·s1 + k·s2 + l·s3` elements behind `src`.
    pub struct Trans {
        /// Source.
        pub src: Sram,
        /// Destination.
        pub dst: Sram,
        /// Output extents.
        pub dims: [u32; 4],
        /// Source strides in elements; 0 along axes of extent 1.
        pub src_strides: [u32; 4],
        /// Element type; only its size matters, so bytes are always i8.
        pub elem: Elem,
    }
}

impl Trans {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.dims.contains(&0) {
            return Err("an extent is zero");
        }
        if (0..4).any(|i| self.dims[i] == 1 && self.src_strides[i] != 0) {
            return Err("an axis of extent 1 has a stride");
        }
        if self.elem == Elem::U8 {
            return Err("bytes are moved as i8");
        }
        Ok(())
    }
}

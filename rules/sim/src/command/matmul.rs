//! MATMUL: product of two tiles that are both computed at run time.

use super::conv::{check_output, check_zero};
use super::field::fields;
use crate::{Elem, Sram};
use ptq_ir::Rounding;
use ptq_kernels::requant::MAX_SHIFT;

/// Largest extent of the sum.
const MAX_DEPTH: u32 = 8192;

fields! {
    /// `out = clamp(requant(Σ (a - a_zero)·(b - b_zero)) + out_zero)` of compact row-major tiles; the sum has 64 bits.
    pub struct MatMul {
        /// First operand, `m x k`.
        pub a: Sram,
        /// Second operand, `k x n`.
        pub b: Sram,
        /// Output tile, `m x n`.
        pub ofm: Sram,
        /// Rows of `a`, extent of the sum, columns of `b`.
        pub mkn: [u32; 3],
        /// Multiplier: an i32, or the bits of an f32.
        pub mul: u32,
        /// Zero point of `a`.
        pub a_zero: i16,
        /// Zero point of `b`.
        pub b_zero: i16,
        /// Output zero point.
        pub out_zero: i16,
        /// Lowest output.
        pub clamp_lo: i16,
        /// Highest output.
        pub clamp_hi: i16,
        /// Type of `a`.
        pub a_type: Elem,
        /// Type of `b`.
        pub b_type: Elem,
        /// Output type.
        pub out_type: Elem,
        /// Rounding.
        pub rounding: Rounding,
        /// Right shift of fixed rounding; 0 with float rounding.
        pub shift: u8,
    }
}

impl MatMul {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.mkn.contains(&0) {
            return Err("an extent is zero");
        }
        if self.mkn[1] > MAX_DEPTH {
            return Err("the sum is too long");
        }
        if [self.a_type, self.b_type, self.out_type].contains(&Elem::I32) {
            return Err("a type is i32");
        }
        check_zero(self.a_type, self.a_zero)?;
        check_zero(self.b_type, self.b_zero)?;
        check_output(self.out_type, self.out_zero, self.clamp_lo, self.clamp_hi)?;
        match self.rounding {
            Rounding::Fixed if self.shift > MAX_SHIFT => Err("the shift is too large"),
            Rounding::Float if self.shift != 0 => Err("float rounding has no shift"),
            _ => Ok(()),
        }
    }

    /// Multiply-accumulates of one run.
    pub fn macs(&self) -> u64 {
        self.mkn.iter().map(|&v| u64::from(v)).fold(1, u64::saturating_mul)
    }
}

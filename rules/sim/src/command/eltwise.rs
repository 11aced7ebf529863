//! ELTWISE: sum, product, maximum, minimum or quotient of two tiles with broadcasting.

use super::conv::{check_output, check_zero};
use super::field::{fields, word};
use crate::{Elem, Sram};
use ptq_ir::Rounding;
use ptq_kernels::requant::MAX_SHIFT;

/// Axes of an element-wise tile.
pub const ELTWISE_RANK: usize = 3;

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EltwiseKind {
    /// `requant(a·mul_a + b·mul_b)`, one rounding.
    Add,
    /// `requant(a·b)` by `mul_a`.
    Mul,
    /// The larger one of `requant(a·mul_a)` and `requant(b·mul_b)`.
    Max,
    /// The smaller one of them.
    Min,
    /// `round(a·mul_a / b)`, one rounding; a zero divisor gives the highest or lowest number by the sign of `a`, 0 for 0.
    Div,
}

word!(
    EltwiseKind,
    "kind of element-wise operation is unknown",
    [
        EltwiseKind::Add = "add",
        EltwiseKind::Mul = "mul",
        EltwiseKind::Max = "max",
        EltwiseKind::Min = "min",
        EltwiseKind::Div = "div"
    ]
);

fields! {
    /// `out = clamp(op(a - a_zero, b - b_zero) + out_zero)` over a tile of three axes, outermost first. An operand that is
    /// broadcast along an axis has extent 1 there; all tiles are compact.
    pub struct Eltwise {
        /// First operand.
        pub a: Sram,
        /// Second operand.
        pub b: Sram,
        /// Output tile.
        pub ofm: Sram,
        /// Output extents.
        pub dims: [u32; ELTWISE_RANK],
        /// Multiplier of `a`, of the product or of the quotient: an i32, or the bits of an f32.
        pub mul_a: u32,
        /// Multiplier of `b`; 0 for a product or quotient.
        pub mul_b: u32,
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
        /// Bit `i`: `a` is broadcast along axis `i`; bit `3 + i`: `b` is.
        pub broadcast: u8,
        /// Operation.
        pub kind: EltwiseKind,
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

impl Eltwise {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.dims.contains(&0) {
            return Err("an extent is zero");
        }
        if self.broadcast >> (2 * ELTWISE_RANK) != 0 {
            return Err("a broadcast bit has no axis");
        }
        if [self.a_type, self.b_type, self.out_type].contains(&Elem::I32) {
            return Err("a type is i32");
        }
        if matches!(self.kind, EltwiseKind::Mul | EltwiseKind::Div) && self.mul_b != 0 {
            return Err("a product or quotient has one multiplier");
        }
        match self.rounding {
            Rounding::Fixed if self.shift > MAX_SHIFT => return Err("the shift is too large"),
            Rounding::Float if self.shift != 0 => return Err("float rounding has no shift"),
            _ => {}
        }
        check_zero(self.a_type, self.a_zero)?;
        check_zero(self.b_type, self.b_zero)?;
        check_output(self.out_type, self.out_zero, self.clamp_lo, self.clamp_hi)
    }

    /// Extents of an operand's tile.
    pub(crate) fn operand_dims(&self, operand: usize) -> [u32; ELTWISE_RANK] {
        let bits = self.broadcast >> (operand * ELTWISE_RANK);
        std::array::from_fn(|i| if bits >> i & 1 == 1 { 1 } else { self.dims[i] })
    }
}

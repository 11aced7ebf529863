//! Words of the command format: element types and addresses, each a type of its own.

use ptq_ir::{DType, QuantParams};

/// Element type of data that commands compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elem {
    /// 8-bit signed.
    I8,
    /// 8-bit unsigned.
    U8,
    /// 32-bit signed, little endian: accumulators of a tail convolution.
    I32,
}

impl Elem {
    /// The element type for tensors of this type; `None` for types that the accelerator does not hold.
    pub fn of(dtype: DType) -> Option<Elem> {
        match dtype {
            DType::I8 => Some(Elem::I8),
            DType::U8 => Some(Elem::U8),
            DType::I32 => Some(Elem::I32),
            _ => None,
        }
    }

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Elem::I8 | Elem::U8 => 1,
            Elem::I32 => 4,
        }
    }

    /// Smallest and largest value.
    pub fn range(self) -> (i32, i32) {
        match self {
            Elem::I8 => (-128, 127),
            Elem::U8 => (0, 255),
            Elem::I32 => (i32::MIN, i32::MAX),
        }
    }

    /// Zero point of a tensor with these parameters as a command field; `None` when it is outside the type.
    pub fn zero_point(self, params: Option<&QuantParams>) -> Option<i16> {
        let zero = params.map_or(0, QuantParams::zero_point0);
        let (lo, hi) = self.range();
        if self == Elem::I32 { Some(0) } else { (lo..=hi).contains(&zero).then_some(zero as i16) }
    }
}

/// Byte address in external memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ddr(pub u32);

/// Byte address in scratch memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sram(pub u32);

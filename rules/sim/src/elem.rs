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
    /// 16-bit signed, little endian; its zero point is 0.
    I16,
}

impl Elem {
    /// The element type for tensors of this type; `None` for types that the accelerator does not hold.
    pub fn of(dtype: DType) -> Option<Elem> {
        match dtype {
            DType::I8 => Some(Elem::I8),
            DType::U8 => Some(Elem::U8),
            DType::I32 => Some(Elem::I32),
            DType::I16 => Some(Elem::I16),
            _ => None,
        }
    }

    /// The type as which commands that only move write elements of this size.
    pub fn moved(self) -> Elem {
        if self == Elem::U8 { Elem::I8 } else { self }
    }

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Elem::I8 | Elem::U8 => 1,
            Elem::I16 => 2,
            Elem::I32 => 4,
        }
    }

    /// Smallest and largest value.
    pub fn range(self) -> (i32, i32) {
        match self {
            Elem::I8 => (-128, 127),
            Elem::U8 => (0, 255),
            Elem::I32 => (i32::MIN, i32::MAX),
            Elem::I16 => (i16::MIN.into(), i16::MAX.into()),
        }
    }

    /// The number that the bytes of one element, little endian, stand for.
    #[inline(always)]
    pub(crate) fn number(self, bytes: &[u8]) -> i32 {
        match (self, bytes) {
            (Elem::I8, &[b, ..]) => i32::from(b as i8),
            (Elem::U8, &[b, ..]) => i32::from(b),
            (Elem::I16, &[a, b, ..]) => i32::from(i16::from_le_bytes([a, b])),
            (Elem::I32, &[a, b, c, d, ..]) => i32::from_le_bytes([a, b, c, d]),
            _ => 0,
        }
    }

    /// The numbers of a compact tile.
    pub(crate) fn numbers(self, bytes: &[u8]) -> impl Iterator<Item = i32> + Clone + '_ {
        bytes.chunks_exact(self.bytes()).map(move |b| self.number(b))
    }

    /// Appends a number of the type's range.
    #[inline(always)]
    pub(crate) fn push(self, value: i32, out: &mut Vec<u8>) {
        match self {
            Elem::I8 | Elem::U8 => out.push(value as u8),
            Elem::I16 => out.extend_from_slice(&(value as i16).to_le_bytes()),
            Elem::I32 => out.extend_from_slice(&value.to_le_bytes()),
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

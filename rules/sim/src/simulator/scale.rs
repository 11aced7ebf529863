//! Requantization constants as they lie in memory, and the last step of every command that uses them.

use crate::{CHANNEL_CONSTANT_BYTES, Elem, TAP_CONSTANT_BYTES, TrapKind};
use ptq_ir::Rounding;
use ptq_kernels::requant::{MAX_SHIFT, requant_fixed, requant_float_wide};

/// One multiplier in its march's rounding.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    Fixed(i32, u8),
    Float(f32),
}

impl Scale {
    /// Multiplier and shift from 8 bytes.
    pub(super) fn read(bytes: &[u8; TAP_CONSTANT_BYTES], rounding: Rounding) -> Result<Scale, TrapKind> {
        let [a, b, c, d, s0, s1, s2, s3] = *bytes;
        let shift = u32::from_le_bytes([s0, s1, s2, s3]);
        match rounding {
            Rounding::Fixed if shift > u32::from(MAX_SHIFT) => Err(TrapKind::Data("a shift is too large")),
            Rounding::Fixed => Ok(Scale::Fixed(i32::from_le_bytes([a, b, c, d]), shift as u8)),
            Rounding::Float if shift != 0 => Err(TrapKind::Data("a float multiplier has a shift")),
            Rounding::Float => Ok(Scale::Float(f32::from_le_bytes([a, b, c, d]))),
        }
    }

    pub(super) fn apply(self, acc: i64) -> i32 {
        match self {
            Scale::Fixed(mult, shift) => requant_fixed(acc, mult, shift),
            Scale::Float(m) => requant_float_wide(acc, m),
        }
    }
}

/// Constants of one output channel of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) bias: i32,
    pub(super) scale: Scale,
}

/// Constants of all channels of a tile. An i32 output has no scale: its entries are zero.
pub(super) fn channels(bytes: &[u8], rounding: Rounding, out: Elem) -> Result<Vec<Channel>, TrapKind> {
    let read = |entry: &[u8; CHANNEL_CONSTANT_BYTES]| {
        let [b0, b1, b2, b3, rest @ ..] = *entry;
        if out == Elem::I32 && rest != [0; TAP_CONSTANT_BYTES] {
            return Err(TrapKind::Data("an i32 output has a multiplier"));
        }
        Ok(Channel { bias: i32::from_le_bytes([b0, b1, b2, b3]), scale: Scale::read(&rest, rounding)? })
    };
    bytes.as_chunks::<CHANNEL_CONSTANT_BYTES>().0.iter().map(read).collect()
}

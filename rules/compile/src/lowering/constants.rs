//! Requantization constants as bytes in memory.

use ptq_ir::{Diagnostic, Requant, Rounding};

/// Which rounding constants are for.
pub(super) fn rounding(requant: &Requant) -> Rounding {
    match requant {
        Requant::Fixed(_) => Rounding::Fixed,
        Requant::Float(_) => Rounding::Float,
    }
}

/// Multiplier as a 32-bit field, and shift. A single entry serves every index.
pub(super) fn entry(requant: &Requant, index: usize) -> (u32, u8) {
    match requant {
        Requant::Fixed(m) => {
            let (mult, shift) = m[if m.len() == 1 { 0 } else { index }];
            (mult as u32, shift)
        }
        Requant::Float(m) => (m[if m.len() == 1 { 0 } else { index }].to_bits(), 0),
    }
}

/// Multiplier and shift in 8 bytes.
pub(super) fn entry_bytes(requant: &Requant, index: usize) -> [u8; 8] {
    let (mult, shift) = entry(requant, index);
    let [a, b, c, d] = mult.to_le_bytes();
    [a, b, c, d, shift, 0, 0, 0]
}

/// A zero point or clamp of a result of up to 16 bits as a field.
pub(super) fn small(value: i32) -> Result<i16, Diagnostic> {
    i16::try_from(value)
        .map_err(|_| Diagnostic::error("COMP04", format!("zero point or clamp {value} is outside 16 bits")))
}

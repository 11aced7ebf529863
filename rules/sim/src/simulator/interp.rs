//! INTERP.

use crate::memory::Memory;
use crate::{Elem, Interp, Sram, TrapKind};
use ptq_ir::ops::{LinearResize, WEIGHT_BITS};

/// Bytes of a table's entry.
const TAP_BYTES: u64 = 6;

/// Operand ranges as (start, bytes).
pub(crate) fn operands(c: &Interp) -> [(Sram, u64); 3] {
    let src = u64::from(c.in_hw[0]) * u64::from(c.in_hw[1]) * u64::from(c.channels);
    [(c.src, src), (c.rows, TAP_BYTES * u64::from(c.out_hw[0])), (c.cols, TAP_BYTES * u64::from(c.out_hw[1]))]
}

/// Runs a linear resize.
pub(super) fn interp(c: &Interp, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [src, rows, cols] = operands(c).map(|(at, bytes)| sram.read(u64::from(at.0), bytes));
    let (src, rows, cols) = (src?, rows?, cols?);
    let channels = c.channels as usize;
    let size = u64::from(c.out_hw[0]) * u64::from(c.out_hw[1]) * u64::from(c.channels);
    sram.bounds(u64::from(c.dst.0), size)?;
    let rows = taps(rows, c.row_base, c.in_hw[0], "a row of the table is outside the tile")?;
    let cols = taps(cols, 0, c.in_hw[1], "a column of the table is outside the tile")?;
    let value = |y: usize, x: usize, k: usize| {
        let byte = src[(y * usize::from(c.in_hw[1]) + x) * channels + k];
        (if c.elem == Elem::I8 { i32::from(byte as i8) } else { i32::from(byte) }) - i32::from(c.zero)
    };
    let mut out = Vec::with_capacity(size as usize);
    for &(top, bottom, down) in &rows {
        for &(left, right, across) in &cols {
            let one = 1i32 << WEIGHT_BITS;
            out.extend((0..channels).map(|k| {
                let upper = value(top, left, k) * (one - across) + value(top, right, k) * across;
                let lower = value(bottom, left, k) * (one - across) + value(bottom, right, k) * across;
                (LinearResize::round(upper * (one - down) + lower * down) + i32::from(c.zero)) as u8
            }));
        }
    }
    Ok(out)
}

/// First index, second index, weight of the second; relative to the tile.
fn taps(bytes: &[u8], base: u16, extent: u16, outside: &'static str) -> Result<Vec<(usize, usize, i32)>, TrapKind> {
    let index = |v: u16| v.checked_sub(base).filter(|&v| v < extent).map(usize::from).ok_or(TrapKind::Data(outside));
    bytes
        .as_chunks::<6>()
        .0
        .iter()
        .map(|&[a, b, c, d, e, f]| {
            let weight = u16::from_le_bytes([e, f]);
            if u32::from(weight) > 1 << WEIGHT_BITS {
                return Err(TrapKind::Data("a weight is above one"));
            }
            Ok((index(u16::from_le_bytes([a, b]))?, index(u16::from_le_bytes([c, d]))?, i32::from(weight)))
        })
        .collect()
}

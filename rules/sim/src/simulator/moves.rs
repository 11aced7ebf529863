//! LUT, TRANS and GATHER: commands that only look up or move.

use crate::memory::Memory;
use crate::{Gather, Lut, Sram, Trans, TrapKind};

/// Runs a table look-up.
pub(super) fn lut(c: &Lut, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [x, table] = lut_operands(c).map(|(at, bytes)| sram.read(u64::from(at.0), bytes));
    let (x, table) = (x?, table?);
    let ((lo, _), elem) = (c.x_type.range(), c.out_bytes());
    let mut out = Vec::with_capacity(c.count as usize * elem);
    c.x_type.numbers(x).for_each(|q| out.extend_from_slice(&table[(q - lo) as usize * elem..][..elem]));
    Ok(out)
}

/// Operand ranges of a LUT as (start, bytes).
pub(crate) fn lut_operands(c: &Lut) -> [(Sram, u64); 2] {
    [(c.ifm, u64::from(c.count) * c.x_type.bytes() as u64), (c.table, c.table_bytes() as u64)]
}

/// Bytes from the first to behind the last element that a TRANS reads.
pub(crate) fn trans_reach(c: &Trans) -> u64 {
    let last = (0..4).map(|i| u64::from(c.dims[i] - 1) * u64::from(c.src_strides[i])).fold(0, u64::saturating_add);
    last.saturating_add(1).saturating_mul(c.elem.bytes() as u64)
}

/// Runs a strided copy.
pub(super) fn trans(c: &Trans, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let src = sram.read(u64::from(c.src.0), trans_reach(c))?;
    let elem = c.elem.bytes();
    let total = c.dims.iter().fold(elem as u64, |n, &d| n.saturating_mul(u64::from(d)));
    sram.bounds(u64::from(c.dst.0), total)?;
    let [n0, n1, n2, n3] = c.dims.map(|d| d as usize);
    let s = c.src_strides.map(|d| d as usize * elem);
    let mut out = Vec::with_capacity(total as usize);
    for i in 0..n0 {
        for j in 0..n1 {
            for k in 0..n2 {
                let start = i * s[0] + j * s[1] + k * s[2];
                (0..n3).for_each(|l| out.extend_from_slice(&src[start + l * s[3]..start + l * s[3] + elem]));
            }
        }
    }
    Ok(out)
}

/// Operand ranges of a GATHER as (start, bytes).
pub(crate) fn gather_operands(c: &Gather) -> [(Sram, u64); 3] {
    let src = u64::from(c.in_hw[0]) * u64::from(c.in_hw[1]) * u64::from(c.pixel_bytes);
    [(c.src, src), (c.rows, 2 * u64::from(c.out_hw[0])), (c.cols, 2 * u64::from(c.out_hw[1]))]
}

/// Runs a nearest-neighbour copy.
pub(super) fn gather(c: &Gather, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [src, rows, cols] = gather_operands(c).map(|(at, bytes)| sram.read(u64::from(at.0), bytes));
    let (src, rows, cols) = (src?, rows?, cols?);
    let (in_h, in_w, pixel) = (usize::from(c.in_hw[0]), usize::from(c.in_hw[1]), c.pixel_bytes as usize);
    sram.bounds(u64::from(c.dst.0), u64::from(c.out_hw[0]) * u64::from(c.out_hw[1]) * u64::from(c.pixel_bytes))?;
    let mut out = Vec::new();
    for row in rows.as_chunks::<2>().0 {
        let y = u16::from_le_bytes(*row).checked_sub(c.row_base).map(usize::from).filter(|&y| y < in_h);
        let y = y.ok_or(TrapKind::Data("a row of the table is outside the tile"))?;
        for col in cols.as_chunks::<2>().0 {
            let x = Some(usize::from(u16::from_le_bytes(*col))).filter(|&x| x < in_w);
            let x = x.ok_or(TrapKind::Data("a column of the table is outside the tile"))?;
            let at = (y * in_w + x) * pixel;
            out.extend_from_slice(&src[at..at + pixel]);
        }
    }
    Ok(out)
}

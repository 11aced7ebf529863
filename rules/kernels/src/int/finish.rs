//! What becomes of accumulators: requantization, zero point, clamp, byte.

use super::tile::NR;
use crate::requant::{MAX_SHIFT, requant_fixed, requant_float, store};
use crate::{Isa, KernelError};
use ptq_ir::Requant;

/// Requantization of rows of accumulators, one entry for each column.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    steps: Steps,
    range: Range,
}

/// Zero point of the output, lowest and highest output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) zero: i32,
    pub(super) lo: i32,
    pub(super) hi: i32,
}

#[derive(Clone, Debug)]
enum Steps {
    Float(Vec<f32>),
    Fixed { mult: Vec<i32>, shift: Vec<i32> },
}

impl Finish {
    /// Constants for `columns` columns; a single entry serves all. The tables are padded to whole panels.
    pub(crate) fn new(
        requant: &Requant,
        columns: usize,
        zero: i32,
        (lo, hi): (i32, i32),
    ) -> Result<Finish, KernelError> {
        // A byte is stored; these bounds also keep the vector code free of overflow.
        if lo > hi || lo < -128 || hi > 255 || zero.abs() > 1 << 16 {
            return Err(KernelError::Geometry(format!(
                "zero point {zero} and range {lo}..={hi} are not those of a byte"
            )));
        }
        let padded = columns.div_ceil(NR) * NR;
        let bad = |n: usize| KernelError::Geometry(format!("{n} requantization entries for {columns} filters"));
        let steps = match requant {
            Requant::Float(m) if !m.iter().all(|m| m.is_finite()) => {
                return Err(KernelError::Geometry("a multiplier is not finite".into()));
            }
            Requant::Float(m) => Steps::Float(spread(m, columns, padded).ok_or_else(|| bad(m.len()))?),
            Requant::Fixed(m) => {
                let all = spread(m, columns, padded).ok_or_else(|| bad(m.len()))?;
                if all.iter().any(|&(_, s)| s > MAX_SHIFT) {
                    return Err(KernelError::Geometry(format!("a shift exceeds {MAX_SHIFT}")));
                }
                Steps::Fixed {
                    mult: all.iter().map(|e| e.0).collect(),
                    shift: all.iter().map(|e| i32::from(e.1)).collect(),
                }
            }
        };
        Ok(Finish { steps, range: Range { zero, lo, hi } })
    }

    /// Bytes of rows of accumulators, after adding the bias, of the columns from `column` on; rows of `out` are
    /// `stride` apart and hold `columns` bytes.
    pub(crate) fn rows(
        &self,
        isa: Isa,
        column: usize,
        bias: &[i32; NR],
        acc: &[[i32; NR]],
        out: &mut [u8],
        (stride, columns): (usize, usize),
    ) {
        let mut bytes = [0u8; NR];
        for (i, acc) in acc.iter().enumerate() {
            self.row(isa, column, bias, acc, &mut bytes);
            let out = &mut out[i * stride..][..columns];
            if columns == NR {
                out[..NR].copy_from_slice(&bytes);
            } else {
                out.copy_from_slice(&bytes[..columns]);
            }
        }
    }

    fn row(&self, isa: Isa, column: usize, bias: &[i32; NR], acc: &[i32; NR], bytes: &mut [u8; NR]) {
        #[cfg(target_arch = "x86_64")]
        if isa.avx2() {
            return match &self.steps {
                Steps::Float(m) => super::avx2::finish_float(isa, acc, bias, entries(m, column), self.range, bytes),
                Steps::Fixed { mult, shift } => {
                    let constants = (entries(mult, column), entries(shift, column));
                    super::avx2::finish_fixed(isa, acc, bias, constants, self.range, bytes);
                }
            };
        }
        let _ = isa;
        let Range { zero, lo, hi } = self.range;
        for j in 0..NR {
            let acc = acc[j].wrapping_add(bias[j]);
            let rounded = match &self.steps {
                Steps::Float(m) => requant_float(acc, m[column + j]),
                Steps::Fixed { mult, shift } => {
                    requant_fixed(i64::from(acc), mult[column + j], shift[column + j] as u8)
                }
            };
            bytes[j] = store(rounded, zero, lo, hi) as u8;
        }
    }
}

/// The entries of one panel.
fn entries<T>(table: &[T], column: usize) -> &[T; NR] {
    table[column..].first_chunk().expect("invariant: tables are padded to whole panels")
}

/// One entry for each column (the last one repeated into the padding).
fn spread<T: Copy>(entries: &[T], columns: usize, padded: usize) -> Option<Vec<T>> {
    let last = *entries.last()?;
    if entries.len() != 1 && entries.len() != columns {
        return None;
    }
    let mut out = if entries.len() == 1 { vec![last; columns] } else { entries.to_vec() };
    out.resize(padded, last);
    Some(out)
}

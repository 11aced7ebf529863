//! What becomes of sums: requantization, zero point, clamp, byte; or the sums themselves.

use super::tile::{NR, Sums};
use crate::KernelError;
use crate::requant::{MAX_SHIFT, requant_fixed, requant_float, store};
use ptq_ir::Requant;

/// Requantization of sums, one entry for each column.
#[derive(Clone, Debug)]
pub(super) struct Finish {
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

/// The entries of one panel.
#[derive(Clone, Copy)]
pub(super) enum Entries<'a> {
    /// Finite multipliers.
    Float(&'a [f32; NR]),
    /// Multipliers and shifts up to [`MAX_SHIFT`].
    Fixed(&'a [i32; NR], &'a [i32; NR]),
}

impl Finish {
    /// Constants for `columns` columns; a single entry serves all. The tables are padded to whole panels.
    pub(super) fn new(
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

    /// Zero point and bounds: `|zero|` is at most 2^16, the bounds are those of a byte.
    pub(super) fn range(&self) -> Range {
        self.range
    }

    /// Constants of the columns from `column` on.
    pub(super) fn entries(&self, column: usize) -> Entries<'_> {
        match &self.steps {
            Steps::Float(m) => Entries::Float(entries(m, column)),
            Steps::Fixed { mult, shift } => Entries::Fixed(entries(mult, column), entries(shift, column)),
        }
    }
}

/// Where the sums of a panel go: rows `stride` apart, of which `columns` elements are written.
pub(super) struct Target<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) stride: usize,
    pub(super) columns: usize,
}

/// Bytes with their requantization, or 32-bit sums.
pub(super) enum Kind<'a> {
    /// Requantized.
    Bytes(Entries<'a>, Range, &'a mut [u8]),
    /// As they are.
    Sums(&'a mut [i32]),
}

impl Target<'_> {
    /// Whether `rows` rows fit; vector code relies on it.
    pub(super) fn holds(&self, rows: usize) -> bool {
        let len = match &self.kind {
            Kind::Bytes(_, _, out) => out.len(),
            Kind::Sums(out) => out.len(),
        };
        self.columns <= NR && (rows == 0 || (rows - 1) * self.stride + self.columns <= len)
    }

    /// Stores one row: the definition.
    pub(super) fn store(&mut self, row: usize, sums: &Sums) {
        let at = row * self.stride;
        match &mut self.kind {
            Kind::Sums(out) => out[at..at + self.columns].copy_from_slice(&sums[..self.columns]),
            Kind::Bytes(entries, Range { zero, lo, hi }, out) => {
                for (j, out) in out[at..at + self.columns].iter_mut().enumerate() {
                    let rounded = match entries {
                        Entries::Float(m) => requant_float(sums[j], m[j]),
                        Entries::Fixed(mult, shift) => requant_fixed(i64::from(sums[j]), mult[j], shift[j] as u8),
                    };
                    *out = store(rounded, *zero, *lo, *hi) as u8;
                }
            }
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

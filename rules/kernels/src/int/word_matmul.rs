//! Products of two matrices of which at least one, or the result, has 16 bits.

use super::stored::Stored;
use crate::requant::{apply_wide, store};
use crate::{Isa, KernelError, parallel};
use ptq_ir::Requant;

/// Products in a nanosecond, about.
const SPEED: usize = 4;

/// `clamp(requant(Σ (a - a_zero)·(b - b_zero)) + out_zero)` of row-major matrices; the sum has 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct WordMatMul<'a> {
    /// Rows of `a`, extent of the sum, columns of `b`.
    pub mkn: [usize; 3],
    /// How each operand is stored.
    pub operands: [Stored; 2],
    /// Zero points of the operands; 0 for words.
    pub zero: [i32; 2],
    /// One entry.
    pub requant: &'a Requant,
    /// How the result is stored.
    pub out: Stored,
    /// Output zero point.
    pub out_zero: i32,
}

impl WordMatMul<'_> {
    /// The product of `a` (`m x k`) and `b` (`k x n`).
    ///
    /// # Errors
    /// When lengths, zero points or constants do not fit.
    pub fn run(&self, isa: Isa, threads: usize, a: &[u8], b: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let [m, k, n] = self.mkn;
        let [ea, eb] = self.operands.map(Stored::bytes);
        let entries = match self.requant {
            Requant::Float(m) => m.len(),
            Requant::Fixed(m) => m.len(),
        };
        let words = self.operands.iter().zip(self.zero).all(|(&form, zero)| form != Stored::Word || zero == 0);
        let eo = self.out.bytes();
        let fits = a.len() == m * k * ea && b.len() == k * n * eb && out.len() == m * n * eo;
        if !fits || entries != 1 || k == 0 || !words {
            let lengths = [a.len(), b.len(), out.len()];
            let what = format!("{lengths:?} bytes, {entries} entries or zero points are no {:?}", self.mkn);
            return Err(KernelError::Geometry(what));
        }
        // A word, or the difference of a byte and its zero point, has 16 bits.
        let narrow = |i: usize, x: &[u8]| -> Vec<i16> {
            self.operands[i].numbers(x, self.zero[i]).into_iter().map(|v| v as i16).collect()
        };
        let rows = narrow(0, a);
        let mut columns = vec![0i16; k * n];
        for (j, row) in narrow(1, b).chunks_exact(n.max(1)).enumerate() {
            row.iter().enumerate().for_each(|(column, &v)| columns[column * k + j] = v);
        }
        let (lo, hi) = self.out.range();
        parallel::split(threads, m * k * n / SPEED, out, n * eo, |first, out| {
            let mut results = vec![0i32; n];
            for (i, out) in out.chunks_exact_mut((n * eo).max(1)).enumerate() {
                let row = &rows[(first + i) * k..][..k];
                super::vectorized(isa, || {
                    for (column, y) in columns.chunks_exact(k).zip(&mut results) {
                        // A product has at most 31 bits: that of the two lowest words is 2^30.
                        let products = row.iter().zip(column).map(|(&x, &y)| i64::from(i32::from(x) * i32::from(y)));
                        *y = store(apply_wide(self.requant, 0, products.sum()), self.out_zero, lo, hi);
                    }
                });
                self.out.narrow(&results, out);
            }
        });
        Ok(())
    }
}

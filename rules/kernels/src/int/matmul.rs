//! Products of two matrices of bytes, both known only at run time.

use super::Sign;
use crate::requant::{apply, store};
use crate::{KernelError, parallel};
use ptq_ir::Requant;

/// Products in a nanosecond, about.
const SPEED: usize = 8;

/// `clamp(requant(Σ (a - a_zero)·(b - b_zero)) + out_zero)` of row-major matrices.
#[derive(Clone, Copy, Debug)]
pub struct IntMatMul<'a> {
    /// Rows of `a`, extent of the sum, columns of `b`.
    pub mkn: [usize; 3],
    /// How bytes of each operand are read.
    pub sign: [Sign; 2],
    /// Zero points of the operands.
    pub zero: [i32; 2],
    /// One entry.
    pub requant: &'a Requant,
    /// Output zero point.
    pub out_zero: i32,
    /// Lowest and highest output.
    pub clamp: (i32, i32),
}

impl IntMatMul<'_> {
    /// The product of `a` (`m x k`) and `b` (`k x n`).
    ///
    /// # Errors
    /// When lengths or constants do not fit.
    pub fn run(&self, threads: usize, a: &[u8], b: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let [m, k, n] = self.mkn;
        let entries = match self.requant {
            Requant::Float(m) => m.len(),
            Requant::Fixed(m) => m.len(),
        };
        if a.len() != m * k || b.len() != k * n || out.len() != m * n || entries != 1 || k == 0 {
            let lengths = [a.len(), b.len(), out.len()];
            return Err(KernelError::Geometry(format!("{lengths:?} bytes or {entries} entries are no {:?}", self.mkn)));
        }
        // Differences of bytes and zero points have at most 9 bits and a sign; 16 bits multiply in pairs.
        let wide = |i: usize, byte: u8| (self.sign[i].value(byte) - self.zero[i]) as i16;
        let mut columns = vec![0i16; k * n];
        for (j, row) in b.chunks_exact(n.max(1)).enumerate() {
            row.iter().enumerate().for_each(|(column, &byte)| columns[column * k + j] = wide(1, byte));
        }
        parallel::split(threads, m * k * n / SPEED, out, n, |first, out| {
            let mut row = vec![0i16; k];
            for (i, out) in out.chunks_exact_mut(n.max(1)).enumerate() {
                let bytes = &a[(first + i) * k..(first + i + 1) * k];
                row.iter_mut().zip(bytes).for_each(|(r, &byte)| *r = wide(0, byte));
                for (column, o) in columns.chunks_exact(k).zip(out) {
                    let sum =
                        row.iter().zip(column).fold(0i32, |s, (&x, &y)| s.wrapping_add(i32::from(x) * i32::from(y)));
                    *o = store(apply(self.requant, 0, sum), self.out_zero, self.clamp.0, self.clamp.1) as u8;
                }
            }
        });
        Ok(())
    }
}

//! Element-wise kernels where a 16-bit word takes part: any function of two operands, sums, products, tables. The march
//! `cpu` executor calls them; results are those of [`crate::requant`], for every instruction set.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use super::stored::Stored;
use crate::requant::{add_fixed, add_float, apply, store};
use crate::{Isa, KernelError, parallel};
use ptq_ir::Requant;

/// Elements that are widened together.
const BLOCK: usize = 512;
/// Results in a nanosecond, about.
const SPEED: usize = 2;

/// Operands and result of an element-wise operation; the second operand is repeated to the first.
#[derive(Clone, Copy, Debug)]
pub struct WordPairs {
    /// How each operand is stored.
    pub operands: [Stored; 2],
    /// Zero points of the operands.
    pub zero: [i32; 2],
    /// How the result is stored.
    pub out: Stored,
    /// Output zero point.
    pub out_zero: i32,
    /// Lowest and highest output.
    pub clamp: (i32, i32),
}

impl WordPairs {
    /// `clamp(round(a·ma + b·mb) + out_zero)` of the numbers less their zero points.
    ///
    /// # Errors
    /// When lengths or constants do not fit.
    pub fn add(
        &self,
        isa: Isa,
        threads: usize,
        requant: &Requant,
        a: &[u8],
        b: &[u8],
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        let constants = || KernelError::Geometry("a sum has two multipliers with one shift".into());
        match requant {
            Requant::Float(m) => {
                let &[ma, mb] = &m[..] else { return Err(constants()) };
                self.each(isa, threads, a, b, out, move |x, y| add_float(x, ma, y, mb))
            }
            Requant::Fixed(m) => match m[..] {
                [(ma, shift), (mb, other)] if shift == other => {
                    self.each(isa, threads, a, b, out, move |x, y| add_fixed(x, ma, y, mb, shift))
                }
                _ => Err(constants()),
            },
        }
    }

    /// `clamp(requant(a·b) + out_zero)` of the numbers less their zero points: a product of two 16-bit numbers, or of one
    /// and a 9-bit difference, has at most 31 bits.
    ///
    /// # Errors
    /// When lengths or constants do not fit.
    pub fn mul(
        &self,
        isa: Isa,
        threads: usize,
        requant: &Requant,
        a: &[u8],
        b: &[u8],
        out: &mut [u8],
    ) -> Result<(), KernelError> {
        match requant {
            Requant::Float(m) if m.len() == 1 => {
                let m = m[0];
                let product = move |x: i32, y: i32| crate::requant::requant_float(x.wrapping_mul(y), m);
                self.each(isa, threads, a, b, out, product)
            }
            Requant::Fixed(m) if m.len() == 1 => {
                self.each(isa, threads, a, b, out, |x: i32, y: i32| apply(requant, 0, x.wrapping_mul(y)))
            }
            _ => Err(KernelError::Geometry("a product has one multiplier".into())),
        }
    }

    /// `clamp(f(a, b) + out_zero)` of the numbers less their zero points.
    ///
    /// # Errors
    /// When the lengths do not fit.
    pub fn each(
        &self,
        isa: Isa,
        threads: usize,
        a: &[u8],
        b: &[u8],
        out: &mut [u8],
        f: impl Fn(i32, i32) -> i32 + Copy + Sync,
    ) -> Result<(), KernelError> {
        let [ea, eb, eo] = [self.operands[0].bytes(), self.operands[1].bytes(), self.out.bytes()];
        let (count, repeat) = (out.len() / eo, b.len() / eb);
        if a.len() != count * ea || repeat == 0 || !count.is_multiple_of(repeat) {
            let lengths = [a.len(), b.len(), out.len()];
            return Err(KernelError::Geometry(format!("{lengths:?} bytes do not broadcast")));
        }
        let unit = if repeat == count { BLOCK } else { repeat };
        parallel::split(threads, count / SPEED, out, unit * eo, |first, out| {
            let start = first * unit;
            let a = &a[start * ea..][..out.len() / eo * ea];
            let b = if repeat == count { &b[start * eb..][..out.len() / eo * eb] } else { b };
            super::vectorized(isa, || self.blocks(a, b, out, f));
        });
        Ok(())
    }

    #[inline(always)]
    fn blocks(&self, a: &[u8], b: &[u8], out: &mut [u8], f: impl Fn(i32, i32) -> i32) {
        let [ea, eb, eo] = [self.operands[0].bytes(), self.operands[1].bytes(), self.out.bytes()];
        let (mut x, mut y) = ([0i32; BLOCK], [0i32; BLOCK]);
        for (a, out) in a.chunks(b.len() / eb * ea).zip(out.chunks_mut(b.len() / eb * eo)) {
            for ((a, b), out) in a.chunks(BLOCK * ea).zip(b.chunks(BLOCK * eb)).zip(out.chunks_mut(BLOCK * eo)) {
                let n = out.len() / eo;
                let (x, y) = (&mut x[..n], &mut y[..n]);
                self.operands[0].widen(a, self.zero[0], x);
                self.operands[1].widen(b, self.zero[1], y);
                let (lo, hi) = self.clamp;
                x.iter_mut().zip(&*y).for_each(|(x, &y)| *x = store(f(*x, y), self.out_zero, lo, hi));
                self.out.narrow(x, out);
            }
        }
    }
}

/// `clamp(f(x) + out_zero)` of every number less its zero point; `pairs` describes the operand as its first.
///
/// # Errors
/// When the lengths do not fit.
pub fn word_map(
    pairs: &WordPairs,
    isa: Isa,
    threads: usize,
    x: &[u8],
    out: &mut [u8],
    f: impl Fn(i32) -> i32 + Copy + Sync,
) -> Result<(), KernelError> {
    // The second operand is not looked at.
    let pairs = WordPairs { operands: [pairs.operands[0], pairs.operands[0]], zero: [pairs.zero[0]; 2], ..*pairs };
    pairs.each(isa, threads, x, x, out, move |x, _| f(x))
}

/// `table[q - lowest q]` of every element.
///
/// # Panics
/// When the table has not one entry for each number of `x`'s form.
pub fn word_lookup(threads: usize, table: &[i16], form: Stored, x: &[u8], into: Stored, out: &mut [u8]) {
    let (lo, hi) = form.range();
    assert_eq!(table.len() as i64, i64::from(hi) - i64::from(lo) + 1, "a table has one entry for each number");
    let (ex, eo) = (form.bytes(), into.bytes());
    parallel::split(threads, out.len(), out, BLOCK * eo, |first, out| {
        let mut numbers = [0i32; BLOCK];
        let x = &x[first * BLOCK * ex..];
        for (x, out) in x.chunks(BLOCK * ex).zip(out.chunks_mut(BLOCK * eo)) {
            let numbers = &mut numbers[..out.len() / eo];
            form.widen(x, lo, numbers);
            numbers.iter_mut().for_each(|v| *v = table[*v as usize].into());
            into.narrow(numbers, out);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sign;

    const FORMS: [Stored; 3] = [Stored::Byte(Sign::Unsigned), Stored::Byte(Sign::Signed), Stored::Word];

    fn bytes(form: Stored, count: usize, step: i64) -> Vec<u8> {
        let (lo, hi) = form.range();
        let span = i64::from(hi) - i64::from(lo) + 1;
        // Extremes first: that is where products are largest.
        let number = |i: usize| match i {
            0 => lo,
            1 => hi,
            _ => (i64::from(lo) + (i as i64 * step).rem_euclid(span)) as i32,
        };
        let numbers: Vec<i32> = (0..count).map(number).collect();
        let mut out = vec![0; count * form.bytes()];
        form.narrow(&numbers, &mut out);
        out
    }

    #[test]
    fn sums_and_products_are_their_definition_on_every_instruction_set() {
        let requants = |n: usize| {
            [Requant::Float(vec![0.37, -2.5e-3][..n].into()), {
                Requant::Fixed(vec![(1 << 30, 31), (-(1 << 22), 31)][..n].into())
            }]
        };
        for (fa, fb, fo) in
            FORMS.into_iter().flat_map(|a| FORMS.map(|b| (a, b))).flat_map(|(a, b)| FORMS.map(|o| (a, b, o)))
        {
            for repeat in [1201, 1] {
                let (a, b) = (bytes(fa, 1201, 7919), bytes(fb, repeat, 104_729));
                let zero = [fa, fb].map(|f| if f == Stored::Word { 0 } else { 5 });
                let clamp = fo.range();
                let pairs = WordPairs { operands: [fa, fb], zero, out: fo, out_zero: 3, clamp };
                let (x, y) = (fa.numbers(&a, zero[0]), fb.numbers(&b, zero[1]));
                for (sum, product) in requants(2).iter().zip(&requants(1)) {
                    let expect = |f: &dyn Fn(i32, i32) -> i32| -> Vec<i32> {
                        let one = |(i, &x): (usize, &i32)| store(f(x, y[i % repeat]), 3, clamp.0, clamp.1);
                        x.iter().enumerate().map(one).collect()
                    };
                    let added = expect(&|x, y| match sum {
                        Requant::Float(m) => add_float(x, m[0], y, m[1]),
                        Requant::Fixed(m) => add_fixed(x, m[0].0, y, m[1].0, 31),
                    });
                    let multiplied = expect(&|x, y| apply(product, 0, x * y));
                    for (isa, threads) in Isa::all().into_iter().flat_map(|isa| [(isa, 1), (isa, 2)]) {
                        let mut out = vec![0; 1201 * fo.bytes()];
                        pairs.add(isa, threads, sum, &a, &b, &mut out).expect("fits");
                        assert_eq!(fo.numbers(&out, 0), added, "{fa:?} {fb:?} {fo:?} {isa:?}");
                        pairs.mul(isa, threads, product, &a, &b, &mut out).expect("fits");
                        assert_eq!(fo.numbers(&out, 0), multiplied, "{fa:?} {fb:?} {fo:?} {isa:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_table_holds_every_word() {
        let table: Vec<i16> = (0..=u16::MAX).map(|i| i.wrapping_mul(40_503) as i16).collect();
        let x = bytes(Stored::Word, 70_000, 1);
        let mut out = vec![0; x.len()];
        word_lookup(2, &table, Stored::Word, &x, Stored::Word, &mut out);
        let found = Stored::Word.numbers(&out, 0);
        let expect = Stored::Word.numbers(&x, 0).into_iter().map(|q| i32::from(table[(q + 32_768) as usize]));
        assert!(found.into_iter().eq(expect));
    }
}

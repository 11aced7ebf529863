//! Sum, product, table look-up of bytes.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use super::Sign;
use crate::requant::{add_fixed, add_float, apply, store};
use crate::{Isa, KernelError};
use ptq_ir::Requant;

/// `clamp(round((a - a_zero)·ma + (b - b_zero)·mb) + out_zero)`.
#[derive(Clone, Copy, Debug)]
pub struct IntAdd<'a> {
    /// How bytes of each operand are read.
    pub sign: [Sign; 2],
    /// Zero points of the operands.
    pub zero: [i32; 2],
    /// Two entries, in fixed point with one shift.
    pub requant: &'a Requant,
    /// Output zero point.
    pub out_zero: i32,
    /// Lowest and highest output.
    pub clamp: (i32, i32),
}

impl IntAdd<'_> {
    /// The sum of `a` with `b`, which is repeated when it is shorter (in NHWC: one value for each channel).
    ///
    /// # Errors
    /// When lengths or constants do not fit.
    pub fn run(&self, isa: Isa, a: &[u8], b: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let ([sa, sb], [za, zb], (lo, hi)) = (self.sign, self.zero, self.clamp);
        let finish = |v: i32| store(v, self.out_zero, lo, hi) as u8;
        match self.requant {
            Requant::Float(m) => {
                let &[ma, mb] = &m[..] else { return Err(constants(m.len())) };
                pairs(isa, a, b, out, |x, y| finish(add_float(sa.value(x) - za, ma, sb.value(y) - zb, mb)))
            }
            Requant::Fixed(m) => {
                let &[(ma, shift), (mb, other)] = &m[..] else { return Err(constants(m.len())) };
                if shift != other {
                    return Err(KernelError::Geometry("a sum in fixed point has one shift".into()));
                }
                pairs(isa, a, b, out, |x, y| finish(add_fixed(sa.value(x) - za, ma, sb.value(y) - zb, mb, shift)))
            }
        }
    }
}

/// `clamp(requant((a - a_zero)·(b - b_zero)) + out_zero)`.
#[derive(Clone, Copy, Debug)]
pub struct IntMul<'a> {
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

impl IntMul<'_> {
    /// The product of `a` with `b`, which is repeated when it is shorter (in NHWC: one value for each channel).
    ///
    /// # Errors
    /// When lengths or constants do not fit.
    pub fn run(&self, isa: Isa, a: &[u8], b: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let ([sa, sb], [za, zb], (lo, hi)) = (self.sign, self.zero, self.clamp);
        let entries = match self.requant {
            Requant::Float(m) => m.len(),
            Requant::Fixed(m) => m.len(),
        };
        if entries != 1 {
            return Err(constants(entries));
        }
        pairs(isa, a, b, out, |x, y| {
            let product = (sa.value(x) - za) * (sb.value(y) - zb);
            store(apply(self.requant, 0, product), self.out_zero, lo, hi) as u8
        })
    }
}

fn constants(n: usize) -> KernelError {
    KernelError::Geometry(format!("{n} requantization entries do not fit the operation"))
}

fn pairs(isa: Isa, a: &[u8], b: &[u8], out: &mut [u8], f: impl Fn(u8, u8) -> u8) -> Result<(), KernelError> {
    if a.len() != out.len() || b.is_empty() || !a.len().is_multiple_of(b.len()) {
        return Err(KernelError::Geometry(format!(
            "{} and {} bytes do not broadcast to {}",
            a.len(),
            b.len(),
            out.len()
        )));
    }
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        // SAFETY: AVX2 is present (checked).
        unsafe { each_avx2(a, b, out, f) };
        return Ok(());
    }
    let _ = isa;
    each(a, b, out, f);
    Ok(())
}

/// The same code for AVX2: only what is inlined by force is sure to be compiled for it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn each_avx2(a: &[u8], b: &[u8], out: &mut [u8], f: impl Fn(u8, u8) -> u8) {
    each(a, b, out, f);
}

#[inline(always)]
fn each(a: &[u8], b: &[u8], out: &mut [u8], f: impl Fn(u8, u8) -> u8) {
    for (a, out) in a.chunks_exact(b.len()).zip(out.chunks_exact_mut(b.len())) {
        for ((&x, &y), o) in a.iter().zip(b).zip(out) {
            *o = f(x, y);
        }
    }
}

/// `table[byte]` of every byte.
///
/// # Panics
/// When the slices differ in length.
pub fn lookup(table: &[u8; 256], x: &[u8], out: &mut [u8]) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    out.iter_mut().zip(x).for_each(|(o, &b)| *o = table[usize::from(b)]);
}

/// The requantization of a byte, `clamp(requant(x - zero) + out_zero)`, for all 256 of them.
pub fn requant_table(requant: &Requant, sign: Sign, zero: i32, out_zero: i32, clamp: (i32, i32)) -> [u8; 256] {
    std::array::from_fn(|b| store(apply(requant, 0, sign.value(b as u8) - zero), out_zero, clamp.0, clamp.1) as u8)
}

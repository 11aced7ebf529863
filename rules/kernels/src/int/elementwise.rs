//! Sum and product of bytes, the second operand repeated to the first.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use super::Sign;
use super::narrow::Narrow;
use crate::requant::{add_fixed, add_float, apply, store};
use crate::{Isa, KernelError, parallel};
use ptq_ir::Requant;

/// Results in a nanosecond, about.
const SPEED: usize = 6;
/// A shorter second operand is repeated to about this many bytes, so that loops are long.
const LONG: usize = 1024;
/// Largest multiplier with which a product of bytes and a sum of two stay finite.
const FINITE: f32 = 1e30;

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
    pub fn run(&self, isa: Isa, threads: usize, a: &[u8], b: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let ([sa, sb], [za, zb], (lo, hi)) = (self.sign, self.zero, self.clamp);
        let finish = move |v: i32| store(v, self.out_zero, lo, hi) as u8;
        match self.requant {
            Requant::Float(m) => {
                let &[ma, mb] = &m[..] else { return Err(constants(m.len())) };
                let narrow = Narrow::new(self.out_zero, self.clamp).filter(|_| ma.abs() < FINITE && mb.abs() < FINITE);
                if let (Some(narrow), Some(x), Some(y)) = (narrow, Less::new(sa, za), Less::new(sb, zb)) {
                    return byte_pairs(isa, threads, a, b, out, move |a, b| narrow.byte(x.of(a) * ma + y.of(b) * mb));
                }
                byte_pairs(isa, threads, a, b, out, move |x, y| {
                    finish(add_float(sa.value(x) - za, ma, sb.value(y) - zb, mb))
                })
            }
            Requant::Fixed(m) => {
                let &[(ma, shift), (mb, other)] = &m[..] else { return Err(constants(m.len())) };
                if shift != other {
                    return Err(KernelError::Geometry("a sum in fixed point has one shift".into()));
                }
                let sum = move |x, y| add_fixed(sa.value(x) - za, ma, sb.value(y) - zb, mb, shift);
                byte_pairs(isa, threads, a, b, out, move |x, y| finish(sum(x, y)))
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
    pub fn run(&self, isa: Isa, threads: usize, a: &[u8], b: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let ([sa, sb], [za, zb], (lo, hi)) = (self.sign, self.zero, self.clamp);
        if let Requant::Float(m) = self.requant {
            let &[m] = &m[..] else { return Err(constants(m.len())) };
            let narrow = Narrow::new(self.out_zero, self.clamp).filter(|_| m.abs() < FINITE);
            if let (Some(narrow), Some(x), Some(y)) = (narrow, Less::new(sa, za), Less::new(sb, zb)) {
                // Both factors have at most 10 bits, so their product is exact in f32.
                return byte_pairs(isa, threads, a, b, out, move |a, b| narrow.byte(x.of(a) * y.of(b) * m));
            }
        }
        let entries = match self.requant {
            Requant::Float(m) => m.len(),
            Requant::Fixed(m) => m.len(),
        };
        if entries != 1 {
            return Err(constants(entries));
        }
        byte_pairs(isa, threads, a, b, out, |x, y| {
            let product = (sa.value(x) - za) * (sb.value(y) - zb);
            store(apply(self.requant, 0, product), self.out_zero, lo, hi) as u8
        })
    }
}

/// A byte's number less a zero point.
#[derive(Clone, Copy)]
struct Less {
    flip: u8,
    zero: i32,
}

impl Less {
    /// `None` when the zero point is not a byte's number.
    fn new(sign: Sign, zero: i32) -> Option<Less> {
        let (lo, hi) = sign.range();
        // Flipping the top bit and taking 128 away reads a byte as signed.
        let (flip, zero) = if sign == Sign::Signed { (0x80, zero + 128) } else { (0, zero) };
        (lo..=hi).contains(&(zero - i32::from(flip))).then_some(Less { flip, zero })
    }

    #[inline(always)]
    fn of(self, byte: u8) -> f32 {
        (i32::from(byte ^ self.flip) - self.zero) as f32
    }
}

fn constants(n: usize) -> KernelError {
    KernelError::Geometry(format!("{n} requantization entries do not fit the operation"))
}

/// `f` of every byte of `a` with its byte of `b`, which is repeated when it is shorter.
///
/// # Errors
/// When the lengths do not fit.
pub fn byte_pairs(
    isa: Isa,
    threads: usize,
    a: &[u8],
    b: &[u8],
    out: &mut [u8],
    f: impl Fn(u8, u8) -> u8 + Copy + Sync,
) -> Result<(), KernelError> {
    if a.len() != out.len() || b.is_empty() || !a.len().is_multiple_of(b.len()) {
        return Err(KernelError::Geometry(format!(
            "{} and {} bytes do not broadcast to {}",
            a.len(),
            b.len(),
            out.len()
        )));
    }
    let repeated;
    let b = if b.len() < LONG && b.len() < a.len() {
        repeated = b.repeat(LONG.div_ceil(b.len()).min(a.len() / b.len()));
        &repeated
    } else {
        b
    };
    let same = a.len() == b.len();
    let unit = if same { LONG } else { b.len() };
    let _ = isa;
    parallel::split(threads, out.len() / SPEED, out, unit, |first, out| {
        let a = &a[first * unit..][..out.len()];
        let b = if same { &b[first * unit..][..out.len()] } else { b };
        #[cfg(target_arch = "x86_64")]
        if isa.avx2() {
            // SAFETY: AVX2 and FMA are present (checked).
            return unsafe { each_avx2(a, b, out, f) };
        }
        each(a, b, out, f);
    });
    Ok(())
}

/// The same code for AVX2: only what is inlined by force is sure to be compiled for it, and constants that come by value
/// are sure to stay in registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn each_avx2(a: &[u8], b: &[u8], out: &mut [u8], f: impl Fn(u8, u8) -> u8) {
    each(a, b, out, f);
}

#[inline(always)]
fn each(a: &[u8], b: &[u8], out: &mut [u8], f: impl Fn(u8, u8) -> u8) {
    for (a, out) in a.chunks(b.len()).zip(out.chunks_mut(b.len())) {
        for ((&x, &y), o) in a.iter().zip(b).zip(out) {
            *o = f(x, y);
        }
    }
}

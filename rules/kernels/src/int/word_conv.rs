//! Convolutions where input or result has 16 bits.
//!
//! A 16-bit number is `256·hi + lo` with a signed high and an unsigned low byte, so its convolution is two convolutions of
//! bytes: `Σ x·w = 256·Σ hi·w + Σ lo·w`. Each sum stays inside 32 bits for up to [`MAX_WEIGHTS`] weights a filter
//! (`65,535·255·128 < 2^31`), the whole has 39 and is put together in 64: nothing overflows, and the exact 8-bit kernels
//! with all their instruction sets do the work.

use super::stored::Stored;
use super::{IntConv, IntConvSpec, Sign};
use crate::requant::{MAX_SHIFT, apply_wide, requant_float, store};
use crate::{Isa, KernelError, parallel};
use ptq_ir::Requant;

/// Most weights of a filter.
pub const MAX_WEIGHTS: usize = 65_535;
/// Results that are finished together.
const BLOCK: usize = 4096;

/// A convolution of a fixed image size, NHWC, with a 16-bit input or result.
#[derive(Clone, Debug)]
pub struct WordConv {
    /// The whole input of bytes, or its high bytes; then its low bytes.
    high: IntConv,
    low: Option<IntConv>,
    bias: Vec<i32>,
    requant: Option<Requant>,
    out: Stored,
    out_zero: i32,
    clamp: (i32, i32),
}

impl WordConv {
    /// Packs weights for an input stored like `input` (the specification's `input` is not looked at). `out` is how a
    /// requantized result is stored.
    ///
    /// # Errors
    /// When weights, bias, requantization, channels and window do not fit, or a filter has too many weights.
    pub fn pack(isa: Isa, spec: &IntConvSpec<'_>, input: Stored, out: Stored) -> Result<WordConv, KernelError> {
        let geometry = |what: String| Err(KernelError::Geometry(what));
        if spec.weights.len() / spec.filters.max(1) > MAX_WEIGHTS {
            return geometry(format!("a filter has more than {MAX_WEIGHTS} weights"));
        }
        if input == Stored::Word && spec.input_zero != 0 {
            return geometry(format!("a 16-bit input has zero point {}", spec.input_zero));
        }
        let entries = match spec.requant {
            None => 1,
            Some(Requant::Float(m)) if m.iter().all(|m| m.is_finite()) => m.len(),
            Some(Requant::Fixed(m)) if m.iter().all(|m| m.1 <= MAX_SHIFT) => m.len(),
            Some(_) => return geometry("a multiplier is not finite, or a shift too large".into()),
        };
        if entries != 1 && entries != spec.filters {
            return geometry(format!("{entries} requantization entries for {} filters", spec.filters));
        }
        let sums =
            |sign: Sign, bias| IntConv::pack(isa, &IntConvSpec { input: sign, requant: None, bias, ..spec.clone() });
        let (high, low) = match input {
            Stored::Byte(sign) => (sums(sign, spec.bias)?, None),
            Stored::Word => (sums(Sign::Signed, None)?, Some(sums(Sign::Unsigned, None)?)),
        };
        let bias = match (&low, spec.bias) {
            (Some(_), Some(bias)) => bias.to_vec(),
            _ => vec![0; spec.filters],
        };
        if bias.len() != spec.filters {
            return geometry(format!("{} biases for {} filters", bias.len(), spec.filters));
        }
        let (requant, out_zero, clamp) = (spec.requant.cloned(), spec.out_zero, spec.clamp);
        Ok(WordConv { high, low, bias, requant, out, out_zero, clamp })
    }

    /// Convolves `batch` images. The result is requantized, or the accumulators saturated to 32 bits (little endian) where
    /// there is no requantization.
    ///
    /// # Errors
    /// When a slice does not have the size of its shape.
    pub fn run(&self, isa: Isa, threads: usize, batch: usize, x: &[u8], out: &mut [u8]) -> Result<(), KernelError> {
        let elem = if self.requant.is_some() { self.out.bytes() } else { 4 };
        let mut high = vec![0i32; out.len() / elem];
        let mut low = Vec::new();
        match &self.low {
            None => self.high.run_i32(threads, batch, x, &mut high)?,
            Some(kernel) => {
                let words = x.as_chunks::<2>().0;
                let bytes: Vec<u8> = words.iter().map(|w| w[1]).collect();
                self.high.run_i32(threads, batch, &bytes, &mut high)?;
                let bytes: Vec<u8> = words.iter().map(|w| w[0]).collect();
                low = vec![0i32; high.len()];
                kernel.run_i32(threads, batch, &bytes, &mut low)?;
            }
        }
        let filters = self.bias.len().max(1);
        let unit = BLOCK.div_ceil(filters) * filters;
        parallel::split(threads, high.len(), out, unit * elem, |first, out| {
            let high = &high[first * unit..][..out.len() / elem];
            let low = if self.low.is_some() { &low[first * unit..][..high.len()] } else { &[] };
            super::vectorized(isa, || self.finish(high, low, out));
        });
        Ok(())
    }

    /// Requantizes whole pixels.
    #[inline(always)]
    fn finish(&self, high: &[i32], low: &[i32], out: &mut [u8]) {
        let filters = self.bias.len();
        let elem = if self.requant.is_some() { self.out.bytes() } else { 4 };
        let mut row = vec![0i32; filters];
        for (i, out) in out.chunks_exact_mut(filters * elem).enumerate() {
            let high = &high[i * filters..][..filters];
            let low = low.get(i * filters..(i + 1) * filters);
            let (lo, hi) = self.clamp;
            match (&self.requant, low) {
                (None, None) => row.copy_from_slice(high),
                (None, Some(low)) => {
                    let sums = high.iter().zip(low).zip(&self.bias);
                    row.iter_mut().zip(sums).for_each(|(o, ((&h, &l), &b))| {
                        *o = whole(h, l, b).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
                    });
                }
                (Some(Requant::Float(m)), _) => {
                    // Whole numbers of up to 53 bits are exact in f64, so the conversion to f32 rounds once, as it does
                    // from 64-bit integers.
                    let one = |acc: f64, m: f32| store(requant_float_of(acc, m), self.out_zero, lo, hi);
                    let m = |o: usize| if m.len() == 1 { m[0] } else { m[o] };
                    match low {
                        None => row.iter_mut().zip(high).enumerate().for_each(|(o, (y, &h))| {
                            *y = store(requant_float(h, m(o)), self.out_zero, lo, hi);
                        }),
                        Some(low) => {
                            let sums = high.iter().zip(low).zip(&self.bias);
                            row.iter_mut().zip(sums).enumerate().for_each(|(o, (y, ((&h, &l), &b)))| {
                                *y = one(f64::from(h) * 256.0 + f64::from(l) + f64::from(b), m(o));
                            });
                        }
                    }
                }
                (Some(requant), low) => row.iter_mut().enumerate().for_each(|(o, y)| {
                    let acc = low.map_or(i64::from(high[o]), |low| whole(high[o], low[o], self.bias[o]));
                    *y = store(apply_wide(requant, o, acc), self.out_zero, lo, hi);
                }),
            }
            match self.requant {
                Some(_) => self.out.narrow(&row, out),
                None => out.as_chunks_mut::<4>().0.iter_mut().zip(&row).for_each(|(o, v)| *o = v.to_le_bytes()),
            }
        }
    }
}

fn whole(high: i32, low: i32, bias: i32) -> i64 {
    i64::from(high) * 256 + i64::from(low) + i64::from(bias)
}

/// [`crate::requant::requant_float_wide`] of a whole number.
#[inline(always)]
fn requant_float_of(acc: f64, m: f32) -> i32 {
    crate::requant::round_half_even(acc as f32 * m)
}

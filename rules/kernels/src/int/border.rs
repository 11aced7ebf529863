//! Borders between float and integers: ONNX QuantizeLinear and DequantizeLinear, bytes with one scale, wider integers with one a row.

use super::Sign;
use super::narrow::Narrow;
use crate::requant::{dequantize, quantize};
use crate::{Isa, parallel};

/// Elements that a thread takes together.
const UNIT: usize = 4096;

/// `clamp(round(x / scale) + zero)` as bytes.
///
/// # Panics
/// When the slices differ in length.
pub fn quantize_bytes(isa: Isa, threads: usize, x: &[f32], scale: f32, zero: i32, sign: Sign, out: &mut [u8]) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    let narrow = Narrow::new(zero, sign.range());
    parallel::split(threads, x.len() / 4, out, UNIT, |first, out| {
        let x = &x[first * UNIT..][..out.len()];
        super::vectorized(isa, || match narrow {
            Some(narrow) => out.iter_mut().zip(x).for_each(|(o, &x)| {
                let v = x / scale;
                *o = narrow.byte(if v.is_nan() { 0.0 } else { v });
            }),
            None => {
                let (lo, hi) = sign.range();
                out.iter_mut().zip(x).for_each(|(o, &x)| *o = quantize(x, scale, zero, lo, hi) as u8);
            }
        });
    });
}

/// `(q - zero) · scale` of bytes.
///
/// # Panics
/// When the slices differ in length.
pub fn dequantize_bytes(isa: Isa, threads: usize, x: &[u8], sign: Sign, scale: f32, zero: i32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    // The difference must not overflow 32 bits; that of another zero point goes the exact way.
    let small = zero.abs() <= 1 << 16;
    // Flipping the top bit and taking 128 away reads a byte as signed.
    let (flip, less) = if sign == Sign::Signed { (0x80, zero.wrapping_add(128)) } else { (0, zero) };
    parallel::split(threads, x.len() / 4, out, UNIT, |first, out| {
        let x = &x[first * UNIT..][..out.len()];
        super::vectorized(isa, || {
            if small {
                out.iter_mut().zip(x).for_each(|(o, &b)| *o = (i32::from(b ^ flip) - less) as f32 * scale);
            } else {
                out.iter_mut().zip(x).for_each(|(o, &b)| *o = dequantize(sign.value(b), scale, zero));
            }
        });
    });
}

/// `(q - zero) · scale` of wider integers in rows of `inner`; row `r` has entry `r mod n` of the `n` scales and zero points.
///
/// # Panics
/// When the slices differ in length, or there are not as many zero points as scales.
pub fn dequantize_rows<T: Copy + Into<i32> + Sync>(
    isa: Isa,
    threads: usize,
    x: &[T],
    inner: usize,
    (scales, zeros): (&[f32], &[i32]),
    out: &mut [f32],
) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    assert_eq!(scales.len(), zeros.len(), "each scale has a zero point");
    let n = scales.len().max(1);
    // One scale for all, one for each element in turn, or one for each row.
    let (unit, inner) = match (scales, inner) {
        ([_], _) => (UNIT, usize::MAX),
        (_, 0 | 1) => (n, 1),
        _ => (inner, inner),
    };
    let plain = zeros.iter().all(|zero| *zero == 0);
    parallel::split(threads, x.len() / 4, out, unit, |first, out| {
        let x = &x[first * unit..][..out.len()];
        super::vectorized(isa, || match inner {
            1 if plain => {
                for (out, x) in out.chunks_mut(n).zip(x.chunks(n)) {
                    for ((o, &q), &scale) in out.iter_mut().zip(x).zip(scales) {
                        *o = q.into() as f32 * scale;
                    }
                }
            }
            _ => {
                let first = if inner == 1 { first * n } else { first };
                let len = inner.min(out.len().max(1));
                for (r, (out, x)) in out.chunks_mut(len).zip(x.chunks(len)).enumerate() {
                    let (scale, zero) = (scales[(first + r) % n], zeros[(first + r) % n]);
                    if zero == 0 {
                        out.iter_mut().zip(x).for_each(|(o, &q)| *o = q.into() as f32 * scale);
                    } else {
                        out.iter_mut().zip(x).for_each(|(o, &q)| *o = dequantize(q.into(), scale, zero));
                    }
                }
            }
        });
    });
}

/// Largest distance of a range's end from its zero point with which [`fake_quantize`] computes in floats: integers up to there are exact.
const EXACT: i64 = 1 << 24;

/// `dequantize(quantize(x))`: each number rounded to the grid of a quantized type whose integers are `lo..=hi`, in its place.
pub fn fake_quantize(isa: Isa, x: &mut [f32], scale: f32, zero: i32, (lo, hi): (i32, i32)) {
    let reach = [lo, hi].map(|end| i64::from(end) - i64::from(zero));
    if !(-EXACT..=0).contains(&reach[0]) || !(0..=EXACT).contains(&reach[1]) {
        x.iter_mut().for_each(|x| *x = dequantize(quantize(*x, scale, zero, lo, hi), scale, zero));
        return;
    }
    let [lo, hi] = reach.map(|end| end as f32);
    // Both ends are integers, so clamping first changes nothing; adding 0 makes a negative zero positive, as an integer is.
    super::vectorized(isa, || {
        for x in x {
            let v = *x / scale;
            let v = if v.is_nan() { 0.0 } else { v };
            *x = (v.max(lo).min(hi).round_ties_even() + 0.0) * scale;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_their_own_scales_whatever_their_length() {
        // Enough for parts that begin anywhere in the list of scales.
        const COUNT: usize = 50_400;
        let x: Vec<i32> =
            (0..COUNT as i32).map(|i: i32| i.wrapping_mul(0x2545_f491)).chain([i32::MIN, i32::MAX, 0]).collect();
        let x = &x[x.len() - COUNT..];
        for (n, inner) in [(1, 1), (1, 1260), (7, 1), (7, 180), (7, 18), (63, 20), (1260, 1), (3, 70)] {
            for zero in [0, -5] {
                let scales: Vec<f32> = (0..n).map(|i| 0.1 + i as f32).collect();
                let zeros: Vec<i32> = (0..n).map(|i| if i % 2 == 0 { zero } else { 0 }).collect();
                let entry = |i: usize| i / inner % n;
                let expect = |i: usize, q: i32| dequantize(q, scales[entry(i)], zeros[entry(i)]).to_bits();
                let words: Vec<i16> = x.iter().map(|q| *q as i16).collect();
                for (isa, threads) in Isa::all().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
                    let mut out = vec![0.0; x.len()];
                    dequantize_rows(isa, threads, x, inner, (&scales, &zeros), &mut out);
                    assert!(out.iter().enumerate().all(|(i, v)| v.to_bits() == expect(i, x[i])), "{n} {inner} {zero}");
                    dequantize_rows(isa, threads, &words, inner, (&scales, &zeros), &mut out);
                    assert!(out.iter().enumerate().all(|(i, v)| v.to_bits() == expect(i, words[i].into())));
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_definition() {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e30, -1e30, 0.25, 0.75, -0.25];
        let x: Vec<f32> = (0..1003).map(|i| (i as f32 - 500.0) * 0.125).chain(special).collect();
        for sign in [Sign::Unsigned, Sign::Signed] {
            let (lo, hi) = sign.range();
            for (scale, zero) in [(0.5f32, 3), (0.37, 120), (1e-30, 0), (0.5, 1000), (0.25, -7), (0.1, 1 << 26)] {
                for isa in Isa::all() {
                    let mut bytes = vec![0; x.len()];
                    quantize_bytes(isa, 2, &x, scale, zero, sign, &mut bytes);
                    let expect: Vec<u8> = x.iter().map(|&x| quantize(x, scale, zero, lo, hi) as u8).collect();
                    assert_eq!(bytes, expect);
                    let mut back = vec![0.0; x.len()];
                    dequantize_bytes(isa, 2, &bytes, sign, scale, zero, &mut back);
                    let expect = bytes.iter().map(|&b| dequantize(sign.value(b), scale, zero).to_bits());
                    assert!(back.iter().map(|v| v.to_bits()).eq(expect));
                    back.copy_from_slice(&x);
                    fake_quantize(isa, &mut back, scale, zero, (lo, hi));
                    let one = |&x: &f32| dequantize(quantize(x, scale, zero, lo, hi), scale, zero).to_bits();
                    assert!(back.iter().map(|v| v.to_bits()).eq(x.iter().map(one)));
                }
            }
        }
    }
}

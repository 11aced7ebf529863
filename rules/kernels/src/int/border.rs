//! Borders between float and bytes: ONNX QuantizeLinear and DequantizeLinear with one scale.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use super::Sign;
use crate::Isa;
use crate::requant::{dequantize, quantize};

/// `clamp(round(x / scale) + zero)` as bytes.
///
/// # Panics
/// When the slices differ in length.
pub fn quantize_bytes(isa: Isa, x: &[f32], scale: f32, zero: i32, sign: Sign, out: &mut [u8]) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        // SAFETY: AVX2 is present (checked).
        return unsafe { quantize_avx2(x, scale, zero, sign.range(), out) };
    }
    let _ = isa;
    quantize_all(x, scale, zero, sign.range(), out);
}

/// The same code for AVX2. Not a closure: only what is inlined by force is sure to be compiled for it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn quantize_avx2(x: &[f32], scale: f32, zero: i32, range: (i32, i32), out: &mut [u8]) {
    quantize_all(x, scale, zero, range, out);
}

#[inline(always)]
fn quantize_all(x: &[f32], scale: f32, zero: i32, (lo, hi): (i32, i32), out: &mut [u8]) {
    for (o, &x) in out.iter_mut().zip(x) {
        *o = quantize(x, scale, zero, lo, hi) as u8;
    }
}

/// `(q - zero) · scale` of bytes.
///
/// # Panics
/// When the slices differ in length.
pub fn dequantize_bytes(isa: Isa, x: &[u8], sign: Sign, scale: f32, zero: i32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    #[cfg(target_arch = "x86_64")]
    // The difference must not overflow 32 bits; that of another zero point goes the exact way.
    if isa.avx2() && zero.abs() <= 1 << 16 {
        // SAFETY: AVX2 is present (checked).
        return unsafe { dequantize_avx2(x, sign, scale, zero, out) };
    }
    let _ = isa;
    for (o, &b) in out.iter_mut().zip(x) {
        *o = dequantize(sign.value(b), scale, zero);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dequantize_avx2(x: &[u8], sign: Sign, scale: f32, zero: i32, out: &mut [f32]) {
    // Flipping the top bit and taking 128 away reads a byte as signed.
    let (flip, zero) = if sign == Sign::Signed { (0x80, zero + 128) } else { (0, zero) };
    for (o, &b) in out.iter_mut().zip(x) {
        *o = (i32::from(b ^ flip) - zero) as f32 * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_definition() {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e30, -1e30, 0.25, 0.75, -0.25];
        let x: Vec<f32> = (0..1003).map(|i| (i as f32 - 500.0) * 0.125).chain(special).collect();
        for sign in [Sign::Unsigned, Sign::Signed] {
            let (lo, hi) = sign.range();
            for (scale, zero) in [(0.5f32, 3), (0.37, 120), (1e-30, 0), (0.5, 1000)] {
                for isa in Isa::all() {
                    let mut bytes = vec![0; x.len()];
                    quantize_bytes(isa, &x, scale, zero, sign, &mut bytes);
                    let expect: Vec<u8> = x.iter().map(|&x| quantize(x, scale, zero, lo, hi) as u8).collect();
                    assert_eq!(bytes, expect);
                    let mut back = vec![0.0; x.len()];
                    dequantize_bytes(isa, &bytes, sign, scale, zero, &mut back);
                    let expect = bytes.iter().map(|&b| dequantize(sign.value(b), scale, zero).to_bits());
                    assert!(back.iter().map(|v| v.to_bits()).eq(expect));
                }
            }
        }
    }
}

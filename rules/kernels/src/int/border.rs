//! Borders between float and bytes: ONNX QuantizeLinear and DequantizeLinear with one scale.

use super::Sign;
use crate::Isa;
use crate::requant::{dequantize, quantize};

/// `clamp(round(x / scale) + zero)` as bytes.
///
/// # Panics
/// When the slices differ in length.
pub fn quantize_bytes(isa: Isa, x: &[f32], scale: f32, zero: i32, sign: Sign, out: &mut [u8]) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    let (lo, hi) = sign.range();
    super::vectorized(isa, || {
        out.iter_mut().zip(x).for_each(|(o, &x)| *o = quantize(x, scale, zero, lo, hi) as u8);
    });
}

/// `(q - zero) · scale` of bytes.
///
/// # Panics
/// When the slices differ in length.
pub fn dequantize_bytes(isa: Isa, x: &[u8], sign: Sign, scale: f32, zero: i32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    let table: [f32; 256] = std::array::from_fn(|b| dequantize(sign.value(b as u8), scale, zero));
    // A difference of bytes is exact in f32 whichever way it is computed; a strange zero point goes by the table.
    if !(-256..=256).contains(&zero) {
        out.iter_mut().zip(x).for_each(|(o, &b)| *o = table[usize::from(b)]);
        return;
    }
    match sign {
        Sign::Unsigned => super::vectorized(isa, || {
            out.iter_mut().zip(x).for_each(|(o, &b)| *o = (i32::from(b) - zero) as f32 * scale);
        }),
        Sign::Signed => super::vectorized(isa, || {
            out.iter_mut().zip(x).for_each(|(o, &b)| *o = (i32::from(b as i8) - zero) as f32 * scale);
        }),
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

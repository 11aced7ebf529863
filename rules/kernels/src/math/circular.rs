//! Circular functions and their inverses in double precision.
//!
//! Arguments are reduced by an exact product with 2/π (Payne and Hanek, 1983), so that large ones lose nothing; the
//! rest are Taylor series on |x| <= π/4 and the addition theorem of atan. Relative errors stay below 1e-15.

use std::f64::consts::FRAC_PI_2;

/// The first 1216 bits of 2/π behind one word of zeros (arguments below 2^53 start before the binary point).
const TWO_OVER_PI: [u64; 20] = [
    0,
    0xa2f9_836e_4e44_1529,
    0xfc27_57d1_f534_ddc0,
    0xdb62_9599_3c43_9041,
    0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0,
    0x0649_2eea_09d1_921c,
    0xfe1d_eb1c_b129_a73e,
    0xe882_35f5_2ebb_4484,
    0xe99c_7026_b45f_7e41,
    0x3991_d639_8353_39f4,
    0x9c84_5f8b_bdf9_283b,
    0x1ff8_97ff_de05_980f,
    0xef2f_118b_5a0a_6d1f,
    0x6d36_7ecf_27cb_09b7,
    0x4f46_3f66_9e5f_ea2d,
    0x7527_bac7_ebe5_f17b,
    0x3d07_39f7_8a52_92ea,
    0x6bfb_5fb1_1f8d_5d08,
    0x5603_3046_fc7b_6bab,
];

/// Sine.
pub fn sin(x: f64) -> f64 {
    let (quadrant, r) = reduced(x);
    let y = if quadrant % 2 == 0 { sine(r) } else { cosine(r) };
    if quadrant >= 2 { -y } else { y }
}

/// Cosine.
pub fn cos(x: f64) -> f64 {
    let (quadrant, r) = reduced(x);
    let y = if quadrant % 2 == 0 { cosine(r) } else { sine(r) };
    if quadrant == 1 || quadrant == 2 { -y } else { y }
}

/// Tangent.
pub fn tan(x: f64) -> f64 {
    let (quadrant, r) = reduced(x);
    if quadrant % 2 == 0 { sine(r) / cosine(r) } else { -cosine(r) / sine(r) }
}

/// Arc tangent.
pub fn atan(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() || a == 0.0 {
        return x;
    }
    let inverted = a > 1.0;
    let t = if inverted { 1.0 / a } else { a };
    // atan t = 4·atan u, with u below tan(π/16).
    let half = |t: f64| t / (1.0 + t.mul_add(t, 1.0).sqrt());
    let u = half(half(t));
    let z = u * u;
    let series = (0..=14).rev().fold(0.0, |p: f64, k| p.mul_add(-z, 1.0 / f64::from(2 * k + 1)));
    let y = 4.0 * u * series;
    (if inverted { FRAC_PI_2 - y } else { y }).copysign(x)
}

/// Arc sine; NaN outside -1..=1.
pub fn asin(x: f64) -> f64 {
    if x == 0.0 { x } else { atan(x / ((1.0 - x) * (1.0 + x)).sqrt()) }
}

/// Arc cosine; NaN outside -1..=1.
pub fn acos(x: f64) -> f64 {
    2.0 * atan(((1.0 - x) / (1.0 + x)).sqrt())
}

fn sine(r: f64) -> f64 {
    let z = r * r;
    // 1 - z/(2·3)·(1 - z/(4·5)·(1 - …)), up to r^17.
    let p = (1..=8).rev().fold(1.0, |p: f64, k| (-z / f64::from(2 * k * (2 * k + 1))).mul_add(p, 1.0));
    r * p
}

fn cosine(r: f64) -> f64 {
    let z = r * r;
    (1..=9).rev().fold(1.0, |p: f64, k| (-z / f64::from((2 * k - 1) * 2 * k)).mul_add(p, 1.0))
}

/// `(q, r)` with `x = (4k + q)·π/2 + r` for some integer `k`, and |r| at most π/4.
fn reduced(x: f64) -> (u32, f64) {
    if !x.is_finite() {
        return (0, f64::NAN);
    }
    let a = x.abs();
    if a <= std::f64::consts::FRAC_PI_4 {
        return (0, x);
    }
    // a = mantissa · 2^exponent; the exponent is between -53 and 971.
    let bits = a.to_bits();
    let mantissa = (bits & 0x000f_ffff_ffff_ffff) | 0x0010_0000_0000_0000;
    let exponent = (bits >> 52) as i64 - 1075;
    // The bits of 2/π before `skip` only add multiples of 4 turns of π/2.
    let skip = (exponent - 2 + 64) as usize;
    let word = |i: usize| TWO_OVER_PI.get(i).copied().unwrap_or(0);
    let window = |i: usize| {
        let (at, shift) = (skip / 64 + i, skip % 64);
        if shift == 0 { word(at) } else { (word(at) << shift) | (word(at + 1) >> (64 - shift)) }
    };
    // mantissa · window modulo 2^192; the result counts in units of 2^-190 turns of π/2.
    let wide = |i: usize| u128::from(mantissa) * u128::from(window(i));
    let (low, middle, high) = (wide(2), wide(1), wide(0));
    let middle = middle + (low >> 64);
    let high = high.wrapping_add(middle >> 64) as u64;
    let (middle, low) = (middle as u64, low as u64);
    let mut quadrant = (high >> 62) as u32;
    let mut fraction = (u128::from(high << 2 | middle >> 62) << 64) | u128::from(middle << 2 | low >> 62);
    let mut sign = 1.0;
    if fraction >> 127 == 1 {
        quadrant = (quadrant + 1) % 4;
        fraction = fraction.wrapping_neg();
        sign = -1.0;
    }
    // 2^-128, exact.
    let r = sign * (fraction as f64) * f64::from_bits((1023 - 128) << 52) * FRAC_PI_2;
    if x < 0.0 { ((4 - quadrant) % 4, -r) } else { (quadrant, r) }
}

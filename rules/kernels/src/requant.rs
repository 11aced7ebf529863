//! From accumulators to quantized values, and from real numbers to integers: every rounding rule of the project.
//!
//! Interpreter, simulator, executor and partition call these functions; SIMD kernels repeat them in vector form and are
//! tested bit for bit against them. `float` follows ONNX `QLinearConv` as ONNX Runtime computes it (f32 product, half to
//! even); `fixed` is one exact product with a 31-bit multiplier and one rounding shift, half away from zero.

use ptq_ir::Requant;

/// Bound of a real result before it becomes an integer; far outside every quantized type, so that it only guards the
/// conversion.
pub const FLOAT_BOUND: f32 = (1u32 << 30) as f32;

/// Largest right shift that [`fixed_from_f64`] gives: 62 bits hold the product of two 31-bit numbers.
pub const MAX_SHIFT: u8 = 62;

/// `x` to the nearest integer, ties to even, bounded to ±2^30; NaN gives 0.
#[inline(always)]
pub fn round_half_even(x: f32) -> i32 {
    x.clamp(-FLOAT_BOUND, FLOAT_BOUND).round_ties_even() as i32
}

/// `round_half_even(acc · m)`: the accumulator is converted to f32 and multiplied once.
#[inline(always)]
pub fn requant_float(acc: i32, m: f32) -> i32 {
    round_half_even(acc as f32 * m)
}

/// `round_half_even(acc · m)` of a wider accumulator, which is converted to f32 (half to even) and multiplied once. Equal
/// to [`requant_float`] where the accumulator has 32 bits.
#[inline(always)]
pub fn requant_float_wide(acc: i64, m: f32) -> i32 {
    round_half_even(acc as f32 * m)
}

/// `round_half_even(a·ma + b·mb)`: both products and the sum are single f32 operations.
#[inline(always)]
pub fn add_float(a: i32, ma: f32, b: i32, mb: f32) -> i32 {
    let p = a as f32 * ma;
    let q = b as f32 * mb;
    round_half_even(p + q)
}

/// `round(acc · mult / 2^shift)`, half away from zero, of the exact product; saturated to 32 bits.
#[inline(always)]
pub fn requant_fixed(acc: i64, mult: i32, shift: u8) -> i32 {
    match i32::try_from(acc) {
        Ok(small) if shift <= MAX_SHIFT => shift_half_away(i64::from(small) * i64::from(mult), shift),
        _ => shift_half_away_wide(i128::from(acc) * i128::from(mult), shift),
    }
}

/// `round((a·ma + b·mb) / 2^shift)`, half away from zero, of the exact sum; saturated to 32 bits.
#[inline(always)]
pub fn add_fixed(a: i32, ma: i32, b: i32, mb: i32, shift: u8) -> i32 {
    let p = i64::from(a) * i64::from(ma);
    let q = i64::from(b) * i64::from(mb);
    match p.checked_add(q) {
        Some(sum) if shift <= MAX_SHIFT => shift_half_away(sum, shift),
        _ => shift_half_away_wide(i128::from(p) + i128::from(q), shift),
    }
}

/// `round(a · mult / (b · 2^shift))`, half away from zero, of the exact quotient; saturated to 32 bits. A zero divisor gives
/// the highest or lowest number by the sign of the dividend, 0 for 0.
#[inline(always)]
pub fn quotient_fixed(a: i64, b: i64, mult: i32, shift: u8) -> i32 {
    let numerator = i128::from(a) * i128::from(mult);
    if b == 0 {
        return match numerator.signum() {
            1 => i32::MAX,
            -1 => i32::MIN,
            _ => 0,
        };
    }
    // |b| · 2^62 fits 126 bits.
    let denominator = i128::from(b.unsigned_abs()) << shift.min(MAX_SHIFT);
    let magnitude = (numerator.unsigned_abs() + (denominator.unsigned_abs() >> 1)) / denominator.unsigned_abs();
    let bounded = magnitude.min(1 << 31) as i64;
    let negative = (numerator < 0) != (b < 0);
    (if negative { -bounded } else { bounded }).min(i64::from(i32::MAX)) as i32
}

/// `round_half_even(a · m / b)`: both numbers are converted to f32, then one product and one division. A zero divisor gives
/// ±2^30 by the sign of the dividend, 0 for 0.
#[inline(always)]
pub fn quotient_float(a: i64, b: i64, m: f32) -> i32 {
    round_half_even(a as f32 * m / b as f32)
}

/// The quotient of two integers by the single entry of these constants.
///
/// # Panics
/// When there is no entry.
#[inline(always)]
pub fn quotient(requant: &Requant, a: i64, b: i64) -> i32 {
    match requant {
        Requant::Float(m) => quotient_float(a, b, m[0]),
        Requant::Fixed(m) => quotient_fixed(a, b, m[0].0, m[0].1),
    }
}

/// `p / 2^shift` half away from zero, for `shift` up to [`MAX_SHIFT`].
#[inline(always)]
fn shift_half_away(p: i64, shift: u8) -> i32 {
    let half = (1u64 << shift) >> 1;
    // |p| <= 2^63 and half <= 2^61, so the sum fits 64 bits.
    let magnitude = (p.unsigned_abs() + half) >> shift;
    let bounded = magnitude.min(1 << 31) as i64;
    (if p < 0 { -bounded } else { bounded }).min(i64::from(i32::MAX)) as i32
}

#[cold]
fn shift_half_away_wide(p: i128, shift: u8) -> i32 {
    let shift = u32::from(shift.min(126));
    let magnitude = (p.unsigned_abs() + ((1u128 << shift) >> 1)) >> shift;
    let bounded = magnitude.min(1 << 31) as i64;
    (if p < 0 { -bounded } else { bounded }).min(i64::from(i32::MAX)) as i32
}

/// Multiplier and right shift with `m ≈ mult / 2^shift`; the multiplier has 31 bits (its top bit is set) unless
/// `|m|` is below 2^-31, where the shift stays at [`MAX_SHIFT`]. Numbers of 2^31 and more saturate; NaN gives 0.
pub fn fixed_from_f64(m: f64) -> (i32, u8) {
    let shift = shift_for(m.abs());
    (scaled(m, shift), shift)
}

/// Two multipliers under one common shift, chosen for the larger number: `(mult_a, mult_b, shift)`.
pub fn fixed_pair_from_f64(a: f64, b: f64) -> (i32, i32, u8) {
    let shift = shift_for(a.abs().max(b.abs()));
    (scaled(a, shift), scaled(b, shift), shift)
}

/// The largest shift up to [`MAX_SHIFT`] under which `round(m · 2^shift)` stays below 2^31.
fn shift_for(m: f64) -> u8 {
    let limit = f64::from(1u32 << 31);
    let fits = |shift: &u8| (m * pow2(*shift)).round() < limit;
    (0..=MAX_SHIFT).rev().find(fits).unwrap_or(0)
}

fn scaled(m: f64, shift: u8) -> i32 {
    (m * pow2(shift)).round() as i32
}

/// 2^shift, exactly.
fn pow2(shift: u8) -> f64 {
    (1u64 << shift) as f64
}

/// `clamp(round_half_even(x / scale) + zero, lo, hi)` (ONNX QuantizeLinear: a division, not a product with the
/// reciprocal). NaN gives the clamped zero point.
#[inline(always)]
pub fn quantize(x: f32, scale: f32, zero: i32, lo: i32, hi: i32) -> i32 {
    store(round_half_even(x / scale), zero, lo, hi)
}

/// `(q - zero) · scale` (ONNX DequantizeLinear): the difference is converted to f32 and multiplied once.
#[inline(always)]
pub fn dequantize(q: i32, scale: f32, zero: i32) -> f32 {
    (i64::from(q) - i64::from(zero)) as f32 * scale
}

/// `clamp(rounded + zero, lo, hi)`: the last step of every requantization. The sum saturates.
#[inline(always)]
pub fn store(rounded: i32, zero: i32, lo: i32, hi: i32) -> i32 {
    rounded.saturating_add(zero).max(lo).min(hi)
}

/// Applies entry `entry` of the constants to an accumulator; a single entry serves all.
///
/// # Panics
/// When there is neither a single entry nor one with that index.
#[inline(always)]
pub fn apply(requant: &Requant, entry: usize, acc: i32) -> i32 {
    match requant {
        Requant::Float(m) => requant_float(acc, m[if m.len() == 1 { 0 } else { entry }]),
        Requant::Fixed(m) => {
            let (mult, shift) = m[if m.len() == 1 { 0 } else { entry }];
            requant_fixed(i64::from(acc), mult, shift)
        }
    }
}

/// [`apply`] to an accumulator of 64 bits, as operators with 16-bit operands have it.
///
/// # Panics
/// When there is neither a single entry nor one with that index.
#[inline(always)]
pub fn apply_wide(requant: &Requant, entry: usize, acc: i64) -> i32 {
    match requant {
        Requant::Float(m) => requant_float_wide(acc, m[if m.len() == 1 { 0 } else { entry }]),
        Requant::Fixed(m) => {
            let (mult, shift) = m[if m.len() == 1 { 0 } else { entry }];
            requant_fixed(acc, mult, shift)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Exact half-to-even of a dyadic rational `n / 2^s`, in integers only.
    fn even_of(n: i64, s: u32) -> i64 {
        let floor = n >> s;
        let rest = n - (floor << s);
        let half = (1i64 << s) / 2;
        if s == 0 || rest < half || (rest == half && floor % 2 == 0) { floor } else { floor + 1 }
    }

    /// Exact half-away-from-zero of `n / 2^s`, in integers only.
    fn away_of(n: i128, s: u32) -> i128 {
        let q = n.abs() >> s;
        let rest = n.abs() - (q << s);
        let up = s > 0 && rest * 2 >= 1i128 << s;
        n.signum() * (q + i128::from(up))
    }

    #[test]
    fn float_rounds_every_tie_to_even() {
        // Power-of-two multipliers are exact in f32, so every odd multiple of the half is a true tie.
        for s in 1..=12u32 {
            let m = 1.0 / (1u32 << s) as f32;
            for acc in -70_000..=70_000 {
                assert_eq!(i64::from(requant_float(acc, m)), even_of(i64::from(acc), s), "{acc} / 2^{s}");
            }
        }
    }

    #[test]
    fn fixed_rounds_every_tie_away_from_zero() {
        for s in 1..=12u8 {
            for acc in -70_000..=70_000i64 {
                assert_eq!(i128::from(requant_fixed(acc, 1, s)), away_of(i128::from(acc), u32::from(s)));
                // The same ratio with a 31-bit multiplier.
                assert_eq!(requant_fixed(acc, 1 << 30, s + 30), requant_fixed(acc, 1, s));
            }
        }
    }

    #[test]
    fn quantize_rounds_every_tie_to_even() {
        for scale_bits in 0..=6 {
            let scale = 1.0 / (1u32 << scale_bits) as f32;
            for n in -1200..=1200 {
                let x = n as f32 * scale / 2.0;
                let expect = (even_of(n, 1) + 3).clamp(-128, 127);
                assert_eq!(i64::from(quantize(x, scale, 3, -128, 127)), expect, "{n}/2 steps");
            }
        }
    }

    #[test]
    fn sums_round_ties_by_their_rule() {
        for a in -255..=255 {
            for b in -255..=255 {
                assert_eq!(i64::from(add_float(a, 0.25, b, 0.5)), even_of(i64::from(a + 2 * b), 2));
                assert_eq!(i128::from(add_fixed(a, 1 << 28, b, 1 << 29, 30)), away_of(i128::from(a + 2 * b), 2));
            }
        }
    }

    #[test]
    fn all_three_agree_where_nothing_is_rounded() {
        for acc in -40_000..=40_000 {
            assert_eq!(requant_float(acc, 1.0), acc);
            assert_eq!(requant_fixed(i64::from(acc), 1 << 30, 30), acc);
        }
    }

    #[test]
    fn wide_accumulators_round_their_ties_like_narrow_ones() {
        for s in 1..=12u32 {
            // Odd multiples of the half far beyond 32 bits, with at most 24 significant bits: exact in f32.
            for odd in (1..200i64).step_by(2).chain((1 << 23) - 99..1 << 23).filter(|o| o % 2 == 1) {
                for acc in [odd << (s + 13), -(odd << (s + 13)), odd, -odd] {
                    let m = 1.0 / (1u64 << (s + 14)) as f32;
                    assert_eq!(i64::from(requant_float_wide(acc, m)), even_of(acc, s + 14), "{acc} / 2^{}", s + 14);
                    let fixed = requant_fixed(acc, 1 << 30, s as u8 + 44);
                    assert_eq!(i128::from(fixed), away_of(i128::from(acc), s + 14));
                }
            }
        }
        for acc in [i32::MIN, -(1 << 24) - 1, (1 << 24) + 1, (1 << 24) + 3, i32::MAX] {
            for m in [1.0, 0.37, 3e-5] {
                assert_eq!(requant_float_wide(acc.into(), m), requant_float(acc, m));
            }
        }
    }

    #[test]
    fn extremes_saturate() {
        assert_eq!(requant_float(i32::MAX, 1e30), 1 << 30);
        assert_eq!(requant_float(i32::MIN, 1e30), -(1 << 30));
        assert_eq!(round_half_even(f32::NAN), 0);
        assert_eq!(requant_fixed(i64::MAX, i32::MAX, 0), i32::MAX);
        assert_eq!(requant_fixed(i64::MIN, i32::MAX, 0), i32::MIN);
        assert_eq!(requant_fixed(i64::from(i32::MIN), i32::MIN, 31), i32::MAX);
        assert_eq!(add_fixed(i32::MIN, i32::MIN, i32::MIN, i32::MIN, 62), 2);
        assert_eq!(store(i32::MAX, 5, -128, 127), 127);
        assert_eq!(dequantize(i32::MIN, 1.0, 1), -2147483649.0);
    }

    #[test]
    fn multipliers_are_normalised() {
        assert_eq!(fixed_from_f64(1.0), (1 << 30, 30));
        assert_eq!(fixed_from_f64(0.75), (3 << 29, 31));
        assert_eq!(fixed_from_f64(0.0), (0, MAX_SHIFT));
        assert_eq!(fixed_from_f64(f64::NAN).0, 0);
        assert_eq!(fixed_from_f64(1e300), (i32::MAX, 0));
        // Rounding up to 2^31 moves to the next shift instead of overflowing.
        assert_eq!(fixed_from_f64(1.0 - 1e-15), (1 << 30, 30));
        assert_eq!(fixed_pair_from_f64(1.0, 0.25), (1 << 30, 1 << 28, 30));
    }

    proptest! {
        #[test]
        fn fixed_is_the_exact_product_rounded_once(acc: i64, mult: i32, shift in 0u8..=126) {
            let exact = away_of(i128::from(acc) * i128::from(mult), u32::from(shift));
            let expect = exact.clamp(i128::from(i32::MIN), i128::from(i32::MAX));
            prop_assert_eq!(i128::from(requant_fixed(acc, mult, shift)), expect);
        }

        #[test]
        fn add_fixed_is_the_exact_sum_rounded_once(a: i32, ma: i32, b: i32, mb: i32, shift in 0u8..=126) {
            let sum = i128::from(a) * i128::from(ma) + i128::from(b) * i128::from(mb);
            let expect = away_of(sum, u32::from(shift)).clamp(i128::from(i32::MIN), i128::from(i32::MAX));
            prop_assert_eq!(i128::from(add_fixed(a, ma, b, mb, shift)), expect);
        }

        #[test]
        fn multipliers_keep_31_bits(m in 1e-9f64..1e9) {
            let (mult, shift) = fixed_from_f64(m);
            prop_assert!(mult >= 1 << 30);
            let back = f64::from(mult) / 2f64.powi(i32::from(shift));
            prop_assert!((back / m - 1.0).abs() <= 2f64.powi(-31));
        }
    }
}

//! pow in double precision, for results that are rounded to f32.

const ROUND: f64 = 6_755_399_441_055_744.0;
const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// x^y after IEEE 754 `pow`, about 1e-14 relative error.
pub fn pow(x: f64, y: f64) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let integer = y.trunc() == y;
    if integer && y.abs() <= 64.0 {
        return integer_pow(x, y as i32);
    }
    if y == 0.5 && x >= 0.0 {
        return x.sqrt();
    }
    let odd = integer && y.abs() < 9e15 && (y as i64) % 2 != 0;
    if x < 0.0 && !integer && x.is_finite() {
        return f64::NAN;
    }
    let magnitude = magnitude(x.abs(), y);
    if odd && x.is_sign_negative() { -magnitude } else { magnitude }
}

fn integer_pow(x: f64, y: i32) -> f64 {
    let (mut base, mut n, mut out) = (x, y.unsigned_abs(), 1.0);
    while n > 0 {
        if n & 1 == 1 {
            out *= base;
        }
        base *= base;
        n >>= 1;
    }
    if y < 0 { 1.0 / out } else { out }
}

fn magnitude(a: f64, y: f64) -> f64 {
    if a == 0.0 || a.is_infinite() || y.is_infinite() {
        let grows = (a > 1.0) == (y > 0.0);
        return match a {
            1.0 => 1.0,
            _ if grows => f64::INFINITY,
            _ => 0.0,
        };
    }
    exp(y * ln(a))
}

/// Natural logarithm of a positive normal number.
pub(super) fn ln(x: f64) -> f64 {
    let shifted = x.to_bits().wrapping_sub(0x3fe6_a09e_667f_3bcd);
    let e = ((shifted as i64) >> 52) as f64;
    let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff).wrapping_add(0x3fe6_a09e_667f_3bcd));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    // Series of artanh up to s^23.
    let p = (1..=11).rev().fold(0.0, |p, n| (p + 2.0 / f64::from(2 * n + 1)) * z);
    e * LN2_HIGH + (s * 2.0 + s * p + e * LN2_LOW)
}

/// e^x between the ends of the range.
pub(super) fn exp(x: f64) -> f64 {
    let x = x.clamp(-745.0, 710.0);
    let n = (x * std::f64::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor series up to r^13.
    let p = (1..=13).rev().fold(1.0, |p, n| p * r / f64::from(n) + 1.0);
    let n = n as i64;
    let half = n >> 1;
    let power = |n: i64| f64::from_bits(((n + 1023) as u64) << 52);
    p * power(half) * power(n - half)
}

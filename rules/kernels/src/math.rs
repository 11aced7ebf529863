//! exp, log, sigmoid, tanh, erf, softplus and pow as our own polynomials: equal bits on every machine, unlike the
//! functions of a system's math library. Only additions, products, fused multiply-adds, divisions and bit operations.
//!
//! Largest errors in units in the last place (ulp) against f64 are tested below: exp 1, log 1, sigmoid 3, tanh 3,
//! erf 3, softplus 2.

mod circular;
mod double;
pub mod wide;

/// Adding and subtracting 1.5·2^23 rounds a small float to an integer, ties to even.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has few bits, so that its product with a small integer is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// e^x. Overflows to infinity, underflows through the denormals to 0.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let bounded = if x > 89.0 { 89.0 } else { x };
    let bounded = if bounded < -104.0 { -104.0 } else { bounded };
    let n = bounded.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, bounded));
    // Taylor series on |r| <= ln2 / 2.
    let mut p = 1.0f32 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p.mul_add(r, c);
    }
    // 2^n in two factors, so that neither leaves the normal range.
    let n = n as i32;
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n - half)
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// Natural logarithm: -infinity of 0, NaN below.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 16_777_216.0 } else { x };
    // Mantissa in [sqrt(1/2), sqrt(2)).
    let shifted = scaled.to_bits().wrapping_sub(0x3f35_04f3);
    let exponent = (shifted as i32) >> 23;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let e = (exponent - if tiny { 24 } else { 0 }) as f32;
    let f = m - 1.0;
    let y = log1p_core(f, e);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    if x < f32::INFINITY { y } else { x }
}

/// `ln(1 + f) + e·ln2` for |f| below 0.42, by the series of artanh in s = f / (2 + f).
#[inline(always)]
fn log1p_core(f: f32, e: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    let mut p = 2.0f32 / 11.0;
    for c in [2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0] {
        p = p.mul_add(z, c);
    }
    // ln(1 + f) = f - (f²/2 - s·(f²/2 + z·p)), which keeps f's own bits in front.
    let half = 0.5 * f * f;
    let tail = s.mul_add(z.mul_add(p, half), e * LN2_LOW);
    e.mul_add(LN2_HIGH, f - (half - tail))
}

/// 1 / (1 + e^-x). Below -88 the result is 0.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    // Near 0: the continued fraction of Lambert up to 11.
    let z = x * x;
    let top = (21.0f32.mul_add(z, 1260.0)).mul_add(z, 10395.0);
    let bottom = ((z + 210.0).mul_add(z, 4725.0)).mul_add(z, 10395.0);
    let near = a * top / bottom;
    let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    (if a < 0.625 { near } else { far }).copysign(x)
}

/// Error function: a polynomial below 1, `1 - exp(polynomial)` above (both fitted at Chebyshev points).
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let mut p = 7.875_875e-5f32;
    for c in
        [-8.016_864e-4, 5.189_087e-3, -2.685_421_2e-2, 0.112_835_95, -0.376_126_27, std::f32::consts::FRAC_2_SQRT_PI]
    {
        p = p.mul_add(z, c);
    }
    let t = (if a < 4.0 { a } else { 4.0 } - 2.5) / 1.5;
    let mut q = -2.915_038e-6f32;
    for c in [
        4.140_558e-5,
        -2.208_476_3e-4,
        8.814_932e-4,
        -3.195_386_6e-3,
        1.096_117_3e-2,
        -3.664_613e-2,
        -2.123_760_7,
        -8.029_021,
        -7.806_815,
    ] {
        q = q.mul_add(t, c);
    }
    let far = 1.0 - exp(q);
    let y = if a < 1.0 { a * p } else { far };
    let y = if a.is_nan() { a } else { y };
    y.copysign(x)
}

/// ln(1 + e^x).
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let z = exp(-x.abs());
    // ln(1 + z) for z in [0, 1]: halve 1 + z where it leaves the range of the series; the halving is exact.
    let far = z > 0.414;
    let f = if far { 0.5 * (z - 1.0) } else { z };
    let y = log1p_core(f, if far { 1.0 } else { 0.0 });
    (if x > 0.0 { x } else { 0.0 }) + if x.is_nan() { x } else { y }
}

/// x^y after IEEE 754 `pow`, through double precision; integer and half exponents of small size are exact products
/// and roots.
pub fn pow(x: f32, y: f32) -> f32 {
    double::pow(f64::from(x), f64::from(y)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the correctly rounded result.
    fn ulps(got: f32, exact: f64) -> f64 {
        let nearest = exact as f32;
        if got == nearest || (got.is_nan() && nearest.is_nan()) {
            return 0.0;
        }
        let ulp = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        (f64::from(got) - exact).abs() / ulp
    }

    fn worst(lo: f32, hi: f32, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let n = 2_000_000;
        (0..=n)
            .map(|i| {
                let x = lo + (hi - lo) * (i as f32 / n as f32);
                ulps(f(x), exact(f64::from(x)))
            })
            .fold(0.0, f64::max)
    }

    /// erf in double precision: the Taylor series, whose terms alternate and stay small below 4.
    fn erf_exact(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn errors_are_as_documented() {
        assert!(worst(-87.0, 88.7, exp, f64::exp) <= 1.0);
        assert!(worst(-2.0, 2.0, exp, f64::exp) <= 1.0);
        assert!(worst(1e-30, 3.0, log, f64::ln) <= 1.0);
        assert!(worst(0.5, 2.0, log, f64::ln) <= 1.0);
        assert!(worst(1.0, 1e30, log, f64::ln) <= 1.0);
        assert!(worst(-87.0, 20.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp())) <= 3.0);
        assert!(worst(-10.0, 10.0, tanh, f64::tanh) <= 3.0);
        assert!(worst(-0.7, 0.7, tanh, f64::tanh) <= 3.0);
        assert!(worst(-3.5, 3.5, erf, erf_exact) <= 3.0);
        assert!(worst(-87.0, 30.0, softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()) <= 2.0);
    }

    #[test]
    fn special_values_are_right() {
        let inf = f32::INFINITY;
        assert_eq!((exp(inf), exp(-inf), exp(0.0), exp(1000.0)), (inf, 0.0, 1.0, inf));
        assert_eq!((log(0.0), log(inf), log(1.0)), (-inf, inf, 0.0));
        assert!(log(-1.0).is_nan() && log(f32::NAN).is_nan() && exp(f32::NAN).is_nan());
        assert!((log(1e-40) - (1e-40f32 as f64).ln() as f32).abs() < 1e-5);
        assert_eq!((sigmoid(inf), sigmoid(-inf), sigmoid(0.0)), (1.0, 0.0, 0.5));
        assert_eq!((tanh(inf), tanh(-inf), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((erf(inf), erf(-inf), erf(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((softplus(inf), softplus(-inf)), (inf, 0.0));
        assert!(tanh(f32::NAN).is_nan() && erf(f32::NAN).is_nan() && softplus(f32::NAN).is_nan());
    }

    #[test]
    fn pow_is_right_to_the_last_bit_or_next() {
        for (x, y) in [(2.0, 10.0), (2.0, -3.0), (-2.0, 3.0), (0.0, 0.0), (9.0, 0.5), (1.7, 2.0)] {
            assert_eq!(pow(x, y), (f64::from(x)).powf(f64::from(y)) as f32, "{x}^{y}");
        }
        assert!(pow(-2.0, 0.5).is_nan());
        assert_eq!(pow(0.0, -1.0), f32::INFINITY);
        for i in 1..4000 {
            let (x, y) = (i as f32 * 0.013, (i % 37) as f32 * 0.31 - 5.0);
            assert!(ulps(pow(x, y), f64::from(x).powf(f64::from(y))) <= 0.51, "{x}^{y}");
        }
    }
}

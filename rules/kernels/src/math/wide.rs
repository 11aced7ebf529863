//! Functions in double precision: for float64 constants, and for the rarer functions of float32, whose results are
//! rounded once. The same polynomials on every machine, relative errors below 1e-14.

pub use super::circular::{acos, asin, atan, cos, sin, tan};
pub use super::double::pow;
use super::double::{exp as exp_bounded, ln};
use std::f64::consts::{FRAC_2_SQRT_PI, LN_2};

/// e^x.
pub fn exp(x: f64) -> f64 {
    if x < -745.5 { 0.0 } else { exp_bounded(x) }
}

/// Natural logarithm: -infinity of 0, NaN below.
pub fn log(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        f64::NAN
    } else if x == 0.0 {
        f64::NEG_INFINITY
    } else if x.is_infinite() {
        x
    } else if x < f64::MIN_POSITIVE {
        // 2^54 brings denormals into the normal range.
        ln(x * 18_014_398_509_481_984.0) - 54.0 * LN_2
    } else {
        ln(x)
    }
}

/// ln(1 + x), exact near 0.
pub fn log1p(x: f64) -> f64 {
    if !(-0.29..=0.41).contains(&x) {
        return log(1.0 + x);
    }
    let s = x / (2.0 + x);
    let z = s * s;
    // Series of artanh up to s^23.
    2.0 * s * (0..=11).rev().fold(0.0, |p: f64, n| p.mul_add(z, 1.0 / f64::from(2 * n + 1)))
}

/// Hyperbolic sine.
pub fn sinh(x: f64) -> f64 {
    let a = x.abs();
    if a < 0.5 {
        let z = x * x;
        let p = (1..=8).rev().fold(1.0, |p: f64, k| (z / f64::from(2 * k * (2 * k + 1))).mul_add(p, 1.0));
        return x * p;
    }
    let e = exp(0.5 * a);
    (0.5 * e * e - 0.5 / e / e).copysign(x)
}

/// Hyperbolic cosine.
pub fn cosh(x: f64) -> f64 {
    let e = exp(0.5 * x.abs());
    0.5 * e * e + 0.5 / e / e
}

/// Hyperbolic tangent.
pub fn tanh(x: f64) -> f64 {
    let a = x.abs();
    if a < 0.5 { sinh(x) / cosh(x) } else { (1.0 - 2.0 / (exp(2.0 * a) + 1.0)).copysign(x) }
}

/// Inverse hyperbolic sine.
pub fn asinh(x: f64) -> f64 {
    let a = x.abs();
    if a > 1e150 {
        return (log(a) + LN_2).copysign(x);
    }
    log1p(a + a * a / (1.0 + a.mul_add(a, 1.0).sqrt())).copysign(x)
}

/// Inverse hyperbolic cosine; NaN below 1.
pub fn acosh(x: f64) -> f64 {
    if x < 1.0 {
        return f64::NAN;
    }
    if x > 1e150 {
        return log(x) + LN_2;
    }
    let t = x - 1.0;
    log1p(t + t.mul_add(t, 2.0 * t).sqrt())
}

/// Inverse hyperbolic tangent; NaN outside -1..=1.
pub fn atanh(x: f64) -> f64 {
    0.5 * log1p(2.0 * x / (1.0 - x))
}

/// Error function: `2/√π · e^(-x²) · Σ 2^n·x^(2n+1) / (1·3·…·(2n+1))`, whose terms all have one sign.
pub fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 6.0 {
        return 1f64.copysign(x);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
        if term.abs() <= 1e-18 * sum.abs() {
            break;
        }
    }
    FRAC_2_SQRT_PI * exp(-x * x) * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(name: &str, f: fn(f64) -> f64, exact: fn(f64) -> f64, (lo, hi): (f64, f64)) {
        for i in 0..=20_000 {
            let x = lo + (hi - lo) * f64::from(i) / 20_000.0;
            let (got, want) = (f(x), exact(x));
            let close = (got - want).abs() <= 1e-14 * want.abs().max(1e-300);
            assert!(close || got == want || (got.is_nan() && want.is_nan()), "{name}({x}) = {got}, expected {want}");
        }
    }

    #[test]
    fn functions_agree_with_the_standard_library() {
        near("sin", sin, f64::sin, (-3.0, 3.0));
        near("cos", cos, f64::cos, (-1.5, 1.5));
        near("sin", sin, f64::sin, (1e9, 1e9 + 1.0));
        near("tan", tan, f64::tan, (-1.5, 1.5));
        near("asin", asin, f64::asin, (-1.0, 1.0));
        near("acos", acos, f64::acos, (-1.0, 1.0));
        near("atan", atan, f64::atan, (-20.0, 20.0));
        near("sinh", sinh, f64::sinh, (-20.0, 20.0));
        near("cosh", cosh, f64::cosh, (-20.0, 20.0));
        near("tanh", tanh, f64::tanh, (-20.0, 20.0));
        near("asinh", asinh, f64::asinh, (-2.0, 2.0));
        near("acosh", acosh, f64::acosh, (1.001, 50.0));
        near("atanh", atanh, f64::atanh, (-0.95, 0.95));
        near("exp", exp, f64::exp, (-20.0, 20.0));
        near("log", log, f64::ln, (1.5, 1e6));
        near("log1p", log1p, f64::ln_1p, (-0.9, 3.0));
    }

    #[test]
    fn special_values_are_right() {
        let inf = f64::INFINITY;
        // The last two are hard for argument reduction: sin(1e22) and the float64 nearest to a multiple of π/2.
        assert!((sin(1e22) + 0.852_200_849_767_188_8).abs() < 1e-14, "{}", sin(1e22));
        let hard = 6_381_956_970_095_103.0 * 2f64.powi(797);
        assert!((cos(hard) / -4.687_165_924_254_624e-19 - 1.0).abs() < 1e-12, "{}", cos(hard));
        assert!(sin(inf).is_nan() && acos(1.5).is_nan() && asin(-2.0).is_nan() && acosh(0.5).is_nan());
        assert!(atanh(2.0).is_nan() && log(-1.0).is_nan());
        assert_eq!((atan(inf), atanh(1.0), log(0.0)), (std::f64::consts::FRAC_PI_2, inf, -inf));
        assert_eq!((asin(1.0), acos(-1.0)), (std::f64::consts::FRAC_PI_2, std::f64::consts::PI));
        assert_eq!((erf(inf), erf(-7.0), erf(0.0)), (1.0, -1.0, 0.0));
        // Abramowitz and Stegun, table 7.1.
        assert!((erf(0.5) - 0.520_499_877_8).abs() < 1e-10 && (erf(2.0) - 0.995_322_265_0).abs() < 1e-10);
    }
}

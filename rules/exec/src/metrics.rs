//! Distances between two tensors of equal length, in f64 and in element order. Called by calibrate (search) and report (tables, verify).
//!
//! `a` is what was computed, `b` the reference. A NaN in either tensor makes the measure NaN, so that it is seen.

/// `a·b / (|a| |b|)`; 1 when both are all zero, 0 when only one is.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let (mut ab, mut aa, mut bb) = (0.0f64, 0.0f64, 0.0f64);
    for (&x, &y) in a.iter().zip(b) {
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    match (aa == 0.0, bb == 0.0) {
        (true, true) => 1.0,
        (true, false) | (false, true) if !(aa + bb).is_nan() => 0.0,
        // Rounding may reach past the bound for equal tensors.
        _ => (ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0),
    }
}

/// Mean absolute difference, `Σ|a - b| / n`: the column `L1 Distance`.
///
/// The division by `n` here and in [`l2`] is inferred from published logs of Horizon's tool: a LeNet output of 10 values
/// with L1 7.732, L2 2.970, Chebyshev 16.220, and an ImageNet output of 1000 values with 1.503, 0.0608, 8.068. L2 below
/// L1 excludes both the plain Euclidean distance and the root mean square, and L2·√n between L1 and Chebyshev fits.
pub fn l1(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum::<f64>() / count(a)
}

/// `√(Σ(a - b)²) / n`: the column `L2 Distance`. See [`l1`] for where the division comes from.
pub fn l2(a: &[f64], b: &[f64]) -> f64 {
    square_error(a, b).sqrt() / count(a)
}

/// Largest absolute difference: the column `Chebyshev Distance`.
pub fn chebyshev(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, max_or_nan)
}

/// Signal to quantization noise ratio in decibels, `10·log10(Σb² / Σ(a - b)²)`; infinite when the tensors are equal.
pub fn sqnr_db(a: &[f64], b: &[f64]) -> f64 {
    let noise = square_error(a, b);
    if noise == 0.0 {
        return f64::INFINITY;
    }
    10.0 * (b.iter().map(|y| y * y).sum::<f64>() / noise).log10()
}

/// `max|a - b| / max|b|`: the error that `ptq verify` states. Elements that are NaN, or the same infinity, in both
/// tensors are equal. With a reference of zeros it is 0 for equal tensors, infinite otherwise.
pub fn max_relative_error(a: &[f64], b: &[f64]) -> f64 {
    let mut difference = 0.0f64;
    let mut reach = 0.0f64;
    for (&x, &y) in a.iter().zip(b) {
        if y.is_finite() {
            reach = reach.max(y.abs());
        }
        if !(x == y || (x.is_nan() && y.is_nan())) {
            difference = max_or_nan(difference, (x - y).abs());
        }
    }
    match (difference == 0.0, reach == 0.0) {
        (true, _) => 0.0,
        (false, true) if !difference.is_nan() => f64::INFINITY,
        _ => difference / reach,
    }
}

/// `f64::max` drops a NaN; this keeps it.
fn max_or_nan(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn square_error(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

fn count(a: &[f64]) -> f64 {
    a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_a_known_pair() {
        let (a, b) = ([1.0, 2.0, 3.0, 0.0], [1.0, 0.0, 7.0, 0.0]);
        assert_eq!(l1(&a, &b), 6.0 / 4.0);
        assert_eq!(l2(&a, &b), 20f64.sqrt() / 4.0);
        assert_eq!(chebyshev(&a, &b), 4.0);
        assert_eq!(max_relative_error(&a, &b), 4.0 / 7.0);
        assert!((sqnr_db(&a, &b) - 10.0 * 2.5f64.log10()).abs() < 1e-12);
        assert!((cosine(&a, &b) - 22.0 / (14f64.sqrt() * 50f64.sqrt())).abs() < 1e-15);
    }

    #[test]
    fn cosine_of_zeros_is_decided_and_nan_is_kept() {
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 0.0]), 1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 1.0]), 0.0);
        assert_eq!(cosine(&[2.0, 0.0], &[0.0, 0.0]), 0.0);
        assert!(cosine(&[0.0, 0.0], &[f64::NAN, 1.0]).is_nan());
        assert!(cosine(&[1.0, f64::NAN], &[1.0, 1.0]).is_nan());
        assert!(chebyshev(&[f64::NAN, 1.0], &[0.0, 0.0]).is_nan());
        assert!(l1(&[f64::NAN], &[0.0]).is_nan() && l2(&[f64::NAN], &[0.0]).is_nan());
    }

    #[test]
    fn relative_error_handles_zeros_and_non_finite_elements() {
        assert_eq!(max_relative_error(&[0.0], &[0.0]), 0.0);
        assert_eq!(max_relative_error(&[1e-9], &[0.0]), f64::INFINITY);
        assert_eq!(max_relative_error(&[f64::NAN, 1.0], &[f64::NAN, 1.0]), 0.0);
        assert_eq!(max_relative_error(&[f64::INFINITY, 1.0], &[f64::INFINITY, 2.0]), 0.5);
        assert!(max_relative_error(&[f64::NAN, 1.0], &[0.0, 1.0]).is_nan());
    }
}

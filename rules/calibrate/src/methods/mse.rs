//! Range of least mean squared error between a tensor and what its quantized grid keeps of it.
//!
//! The error of a candidate range is `Σ h·(x − q(x))²` over the histogram's bins, every bin at its middle (bins are at
//! most 1/512 of their magnitude wide, a fifth of an int8 step or less). Expanding the square gives sums that prefix sums of `h`, `h·x` and `h·x²`
//! answer for each level in constant time, so a candidate costs O(levels). Minimum MSE clipping goes back to
//! Max, "Quantizing for minimum distortion" (IRE Trans. Inf. Theory, 1960); the search here is exhaustive over the bins.

use crate::Histogram;
use crate::params::from_range;
use ptq_ir::{ActScheme, QuantParams};

/// Candidates reach from the maximum down to this share of it.
const SMALLEST_SHARE: f64 = 1.0 / 16.0;

/// The range `(lo, hi)` with the least error in this scheme: first every magnitude that clips both sides alike, then each
/// end alone while the other stays (affine schemes only). Ties go to the wider range.
pub fn mse(histogram: &Histogram, scheme: ActScheme) -> (f32, f32) {
    let lo = histogram.min.min(0.0);
    let hi = histogram.max.max(0.0);
    let max = histogram.abs_max();
    if max == 0.0 {
        return (0.0, 0.0);
    }
    let moments = Moments::of(histogram);
    let error = |lo: f32, hi: f32| moments.error(&from_range(lo, hi, scheme));
    let mut best = (lo, hi, error(lo, hi));
    let take = |best: &mut (f32, f32, f64), lo: f32, hi: f32| {
        let e = error(lo, hi);
        if e < best.2 {
            *best = (lo, hi, e);
        }
    };
    for t in candidates(max) {
        take(&mut best, lo.max(-t), hi.min(t));
    }
    if scheme.is_affine() {
        for t in candidates(hi) {
            let low = best.0;
            take(&mut best, low, t);
        }
        for t in candidates(-lo) {
            let high = best.1;
            take(&mut best, -t, high);
        }
    }
    (best.0, best.1)
}

/// Upper edges of the bins from the one that holds `max` down to [`SMALLEST_SHARE`] of it, below `max`.
fn candidates(max: f32) -> impl Iterator<Item = f32> {
    let last = Histogram::bin_of(f64::from(max)).unwrap_or(0);
    let first = Histogram::bin_of(f64::from(max) * SMALLEST_SHARE).unwrap_or(last);
    (first..last).rev().map(|bin| Histogram::lower_edge(bin + 1) as f32)
}

/// Prefix sums of both signs' bins: entry `i` sums bins below `i`.
struct Moments {
    positive: Side,
    negative: Side,
}

#[derive(Default)]
struct Side {
    count: Vec<f64>,
    sum: Vec<f64>,
    square: Vec<f64>,
    /// One past the last bin that holds something.
    end: usize,
}

impl Moments {
    fn of(histogram: &Histogram) -> Moments {
        Moments { positive: Side::of(histogram.positive()), negative: Side::of(histogram.negative()) }
    }

    /// `Σ h·(x − q(x))²`; zeros have no error, since every scheme represents zero.
    fn error(&self, params: &QuantParams) -> f64 {
        let (lo, hi) = params.dtype.quant_range().unwrap_or((-127, 127));
        let (scale, zero) = (f64::from(params.scale0()), params.zero_point0());
        self.positive.error(scale, hi - zero) + self.negative.error(scale, zero - lo)
    }
}

impl Side {
    fn of(counts: &[u64]) -> Side {
        let n = counts.len() + 1;
        let mut s = Side { count: vec![0.0; n], sum: vec![0.0; n], square: vec![0.0; n], end: 0 };
        for (i, &c) in counts.iter().enumerate() {
            let (h, x) = (c as f64, (Histogram::lower_edge(i) + Histogram::lower_edge(i + 1)) / 2.0);
            s.count[i + 1] = s.count[i] + h;
            s.sum[i + 1] = s.sum[i] + h * x;
            s.square[i + 1] = s.square[i] + h * x * x;
            if c > 0 {
                s.end = i + 1;
            }
        }
        s
    }

    /// Error of magnitudes on this side, with levels `0..=levels` of this step; what lies above the last is clipped to it.
    fn error(&self, scale: f64, levels: i32) -> f64 {
        let mut total = 0.0;
        let mut from = 0;
        for level in 0..=levels {
            let top = (f64::from(level) + 0.5) * scale;
            let to = if level == levels { self.end } else { Histogram::bin_of(top).unwrap_or(0).clamp(from, self.end) };
            if to > from {
                let q = f64::from(level) * scale;
                let d = |v: &[f64]| v[to] - v[from];
                total += d(&self.square) - 2.0 * q * d(&self.sum) + q * q * d(&self.count);
            }
            from = to;
            if from >= self.end {
                break;
            }
        }
        total.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ptq_ir::DType;
    use ptq_kernels::requant::{dequantize, quantize};

    fn histogram(values: &[f32]) -> Histogram {
        let mut h = Histogram::default();
        h.observe(values);
        h
    }

    /// The error by its definition, element by element.
    fn measured(values: &[f32], params: &QuantParams) -> f64 {
        let (lo, hi) = params.dtype.quant_range().expect("quantized");
        let (s, z) = (params.scale0(), params.zero_point0());
        values.iter().map(|&v| f64::from(v - dequantize(quantize(v, s, z, lo, hi), s, z)).powi(2)).sum()
    }

    /// Bell-shaped values with a few far outliers.
    fn bell(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut unit = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u32 << 24) as f32
        };
        let mut v: Vec<f32> = (0..n).map(|_| (0..6).map(|_| unit() - 0.5).sum()).collect();
        v.extend([9.0, -11.0]);
        v
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn prefix_sums_are_within_a_bin_of_the_definition(seed in 1u64.., share in 0.1f32..1.0, affine in any::<bool>()) {
            let values = bell(3000, seed);
            let h = histogram(&values);
            let scheme = if affine { ActScheme::AffineUint8 } else { ActScheme::SymmetricInt8 };
            let params = from_range(h.min * share, h.max * share, scheme);
            let (fast, slow) = (Moments::of(&h).error(&params), measured(&values, &params));
            prop_assert!((fast - slow).abs() <= 0.03 * slow + 1e-9, "{} {}", fast, slow);
        }

        #[test]
        fn no_scanned_range_is_better(seed in 1u64.., affine in any::<bool>()) {
            let values = bell(2000, seed);
            let h = histogram(&values);
            let scheme = if affine { ActScheme::AffineUint8 } else { ActScheme::SymmetricInt8 };
            let (lo, hi) = mse(&h, scheme);
            let ours = measured(&values, &from_range(lo, hi, scheme));
            for i in 1..=60 {
                let t = h.abs_max() * i as f32 / 60.0;
                let other = measured(&values, &from_range(h.min.max(-t), h.max.min(t), scheme));
                prop_assert!(ours <= other * 1.03, "range {}..{} has {}, {} has {}", lo, hi, ours, t, other);
            }
        }
    }

    #[test]
    fn outliers_are_clipped_and_tiny_tensors_are_not() {
        let h = histogram(&bell(200_000, 7));
        let (lo, hi) = mse(&h, ActScheme::SymmetricInt8);
        assert!(hi < 8.0 && lo > -8.0, "{lo}..{hi}");
        assert_eq!(mse(&histogram(&[]), ActScheme::AffineUint8), (0.0, 0.0));
        let (_, hi) = mse(&histogram(&[1.0, 0.0, 1.0]), ActScheme::AffineUint8);
        assert_eq!(from_range(0.0, hi, ActScheme::AffineUint8).dtype, DType::U8);
    }
}

//! Range of least mean squared error behind the functions that read a tensor.
//!
//! Where tables of one result a level are all that reads a tensor, what counts is what they make of it: a HardSwish is 0 below -3, so levels there are
//! wasted. The error of a candidate range is `Σ_f Σ h·(f(x) − f(q(x)))²` over the functions `f` and the histogram's elements `h` at `x`. It is
//! the minimum MSE clipping of [`super::mse`] (Max, "Quantizing for minimum distortion", IRE Trans. Inf. Theory, 1960), with the
//! error measured at the function's result, as AdaRound and BRECQ measure that of weights at the layer's (Nagel et al., ICML 2020; Li et al., ICLR 2021).
//! Bins are put together while they are narrower than a fourth of a level of the widest range. Candidates are shares of the observed ends in even
//! ratios: first both ends clipped to one magnitude, then each end alone, twice (affine schemes only).

use crate::Histogram;
use crate::params::from_range;
use ptq_ir::{ActScheme, QuantParams};

/// Points are at least this share of the largest magnitude apart.
const WIDTH: f64 = 1.0 / 1024.0;
/// Candidates for each power of two of an end.
const PER_OCTAVE: i32 = 16;
/// Powers of two below the observed end that are tried.
const OCTAVES: i32 = 4;

/// What reads a tensor: results for these arguments, as many; `None` where it cannot be computed.
pub type Function<'a> = &'a dyn Fn(&[f32]) -> Option<Vec<f32>>;

/// The range `(lo, hi)` with the least error behind these functions in this scheme; `None` where a function has no finite result for what was
/// observed. Ties go to the wider range.
pub fn behind(histogram: &Histogram, scheme: ActScheme, functions: &[Function<'_>]) -> Option<(f32, f32)> {
    let (lo, hi) = (histogram.min.min(0.0), histogram.max.max(0.0));
    if histogram.abs_max() == 0.0 {
        return Some((0.0, 0.0));
    }
    let points = Points::of(histogram, functions)?;
    let mut best = (lo, hi, points.error(lo, hi, scheme)?);
    let take = |best: &mut (f32, f32, f64), lo: f32, hi: f32| {
        if let Some(e) = points.error(lo, hi, scheme).filter(|e| *e < best.2) {
            *best = (lo, hi, e);
        }
    };
    for t in shares(histogram.abs_max()) {
        take(&mut best, lo.max(-t), hi.min(t));
    }
    if scheme.is_affine() {
        for _ in 0..2 {
            for low in shares(-lo) {
                let high = best.1;
                take(&mut best, -low, high);
            }
            for high in shares(hi) {
                let low = best.0;
                take(&mut best, low, high);
            }
        }
    }
    Some((best.0, best.1))
}

/// An end and what is tried instead, from the widest to the narrowest.
fn shares(end: f32) -> impl Iterator<Item = f32> {
    let share = |i: i32| libm::exp2(-f64::from(i) / f64::from(PER_OCTAVE));
    (0..=PER_OCTAVE * OCTAVES).map(move |i| (f64::from(end) * share(i)) as f32).filter(|t| *t > 0.0)
}

/// What was observed, a few thousand arguments with their number, and each function's results.
struct Points<'a> {
    x: Vec<f32>,
    count: Vec<f64>,
    functions: Vec<(Function<'a>, Vec<f32>)>,
}

impl<'a> Points<'a> {
    fn of(histogram: &Histogram, functions: &[Function<'a>]) -> Option<Points<'a>> {
        let width = f64::from(histogram.abs_max()) * WIDTH;
        let (mut x, mut count) = (vec![0f32], vec![histogram.zeros as f64]);
        for (sign, counts) in [(1.0, histogram.positive()), (-1.0, histogram.negative())] {
            let (mut sum, mut n, mut from) = (0.0, 0.0, 0.0);
            for (bin, &c) in counts.iter().enumerate().filter(|(_, c)| **c > 0) {
                let (low, high) = (Histogram::lower_edge(bin), Histogram::lower_edge(bin + 1));
                if n > 0.0 && high - from > width {
                    x.push((sign * sum / n) as f32);
                    count.push(n);
                    (sum, n) = (0.0, 0.0);
                }
                if n == 0.0 {
                    from = low;
                }
                sum += c as f64 * (low + high) / 2.0;
                n += c as f64;
            }
            if n > 0.0 {
                x.push((sign * sum / n) as f32);
                count.push(n);
            }
        }
        // The middle of an outermost bin may lie outside of what was observed.
        x.iter_mut().for_each(|x| *x = x.clamp(histogram.min.min(0.0), histogram.max.max(0.0)));
        let functions = functions.iter().map(|&f| Some((f, results(f, &x)?))).collect::<Option<Vec<_>>>()?;
        Some(Points { x, count, functions })
    }

    /// The error of a range; `None` where a function has no finite result for a level.
    fn error(&self, lo: f32, hi: f32, scheme: ActScheme) -> Option<f64> {
        let params = from_range(lo, hi, scheme);
        let (first, last) = params.dtype.quant_range()?;
        let (scale, zero) = (params.scale0(), params.zero_point0());
        let levels: Vec<f32> = (first..=last).map(|q| (q - zero) as f32 * scale).collect();
        let made = self.functions.iter().map(|(f, wanted)| Some((results(*f, &levels)?, wanted)));
        let made = made.collect::<Option<Vec<_>>>()?;
        let mut sum = 0.0;
        for (i, (&x, &n)) in self.x.iter().zip(&self.count).enumerate() {
            let level = level(x, &params, first, last);
            sum += made.iter().map(|(made, wanted)| n * f64::from(made[level] - wanted[i]).powi(2)).sum::<f64>();
        }
        Some(sum)
    }
}

fn level(x: f32, params: &QuantParams, first: i32, last: i32) -> usize {
    let q = ptq_kernels::requant::quantize(x, params.scale0(), params.zero_point0(), first, last);
    usize::try_from(q - first).unwrap_or(0)
}

fn results(f: Function<'_>, x: &[f32]) -> Option<Vec<f32>> {
    f(x).filter(|y| y.len() == x.len() && y.iter().all(|v| v.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ptq_kernels::requant::{dequantize, quantize};

    fn histogram(values: &[f32]) -> Histogram {
        let mut h = Histogram::default();
        h.observe(values);
        h
    }

    fn hard_swish(x: &[f32]) -> Option<Vec<f32>> {
        Some(x.iter().map(|v| v * (v / 6.0 + 0.5).clamp(0.0, 1.0)).collect())
    }

    fn sigmoid(x: &[f32]) -> Option<Vec<f32>> {
        Some(x.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect())
    }

    /// The error by its definition, element by element.
    fn measured(values: &[f32], (lo, hi): (f32, f32), scheme: ActScheme, f: Function<'_>) -> f64 {
        let params = from_range(lo, hi, scheme);
        let (first, last) = params.dtype.quant_range().expect("quantized");
        let (s, z) = (params.scale0(), params.zero_point0());
        let kept: Vec<f32> = values.iter().map(|&v| dequantize(quantize(v, s, z, first, last), s, z)).collect();
        let (made, wanted) = (f(&kept).expect("results"), f(values).expect("results"));
        made.iter().zip(&wanted).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_scanned_range_is_much_better(
            values in prop::collection::vec(-9f32..9.0, 1500..2500),
            swish in any::<bool>(),
            affine in any::<bool>(),
        ) {
            // Denser near zero, as values in front of functions are.
            let values: Vec<f32> = values.into_iter().map(|v| v * v.abs() / 9.0).collect();
            let scheme = if affine { ActScheme::AffineUint8 } else { ActScheme::SymmetricInt8 };
            let f: Function<'_> = if swish { &hard_swish } else { &sigmoid };
            let ours = behind(&histogram(&values), scheme, &[f]).expect("a range");
            let ours = measured(&values, ours, scheme, f);
            for i in 1..=40 {
                for j in if affine { 1..=40 } else { i..=i } {
                    let range = (-9.0 * i as f32 / 40.0, 9.0 * j as f32 / 40.0);
                    let other = measured(&values, range, scheme, f);
                    prop_assert!(ours <= other * 1.1 + 1e-9, "{} against {} of {:?}", ours, other, range);
                }
            }
        }
    }

    #[test]
    fn what_a_function_does_not_tell_apart_costs_no_levels() {
        let values: Vec<f32> = (0..4000).map(|i| (i % 160) as f32 / 10.0 - 9.5).collect();
        let h = histogram(&values);
        let (lo, hi) = behind(&h, ActScheme::AffineUint8, &[&hard_swish]).expect("a range");
        assert!((-3.3..=-2.7).contains(&lo), "{lo}");
        assert!((6.0..=6.5).contains(&hi), "{hi}");
        let whole = measured(&values, (h.min, h.max), ActScheme::AffineUint8, &hard_swish);
        let ours = measured(&values, (lo, hi), ActScheme::AffineUint8, &hard_swish);
        assert!(ours < 0.5 * whole, "{ours} against {whole}");
    }

    #[test]
    fn a_function_without_finite_results_has_no_range_and_zeros_have_an_empty_one() {
        let log = |x: &[f32]| Some(x.iter().map(|v| v.ln()).collect());
        assert_eq!(behind(&histogram(&[-1.0, 2.0]), ActScheme::AffineUint8, &[&log]), None);
        assert_eq!(behind(&histogram(&[0.0; 4]), ActScheme::SymmetricInt8, &[&sigmoid]), Some((0.0, 0.0)));
    }
}

//! Five measures of what quantization costs a value, over samples. Called by the rules of an analysis.

use ptq_exec::metrics;
use ptq_ir::Tensor;
use serde::{Deserialize, Serialize};

/// Five measures between float and quantized results; `None` where one is not a finite number (a NaN in a tensor; SQNR without any
/// noise). Over several values the worst of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Cosine similarity, mean over samples.
    pub cosine: Option<f64>,
    /// Mean squared error, `Σ(q − f)² / n`.
    pub mse: Option<f64>,
    /// Mean relative error, `Σ|q − f| / Σ|f|`: a ratio of sums, since elements near zero would decide a mean of ratios.
    pub mre: Option<f64>,
    /// Signal to quantization noise ratio in decibels, `10·log10(Σf² / Σ(q − f)²)`; `None` without noise.
    pub sqnr_db: Option<f64>,
    /// Largest absolute difference, Chebyshev's distance.
    pub chebyshev: Option<f64>,
}

/// Sums of one compared value over samples, in f64 and in the order of samples and elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    samples: u64,
    elements: u64,
    cosines: f64,
    square: f64,
    absolute: f64,
    signal: f64,
    magnitude: f64,
    largest: f64,
}

impl Sums {
    /// Of one sample.
    pub(crate) fn of(quantized: &Tensor, float: &Tensor) -> Sums {
        let (q, f) = (quantized.to_f64s(), float.to_f64s());
        let mut sums =
            Sums { samples: 1, elements: f.len() as u64, cosines: metrics::cosine(&q, &f), ..Sums::default() };
        for (a, b) in q.iter().zip(&f) {
            let d = (a - b).abs();
            sums.square += d * d;
            sums.absolute += d;
            sums.signal += b * b;
            sums.magnitude += b.abs();
            sums.largest = if d > sums.largest || d.is_nan() { d } else { sums.largest };
        }
        sums
    }

    /// Of one sample that quantization does not change.
    pub(crate) fn same(float: &Tensor) -> Sums {
        Sums::of(float, float)
    }

    /// Adds the next sample's.
    pub(crate) fn add(&mut self, next: &Sums) {
        self.samples += next.samples;
        self.elements += next.elements;
        self.cosines += next.cosines;
        self.square += next.square;
        self.absolute += next.absolute;
        self.signal += next.signal;
        self.magnitude += next.magnitude;
        self.largest =
            if self.largest.is_nan() || next.largest.is_nan() { f64::NAN } else { self.largest.max(next.largest) };
    }

    /// The measures.
    pub(crate) fn errors(&self) -> Errors {
        let finite = |x: f64| x.is_finite().then_some(x);
        let share = |part: f64, whole: f64| if part == 0.0 { Some(0.0) } else { finite(part / whole) };
        Errors {
            cosine: finite(self.cosines / self.samples as f64),
            mse: finite(self.square / self.elements.max(1) as f64),
            mre: share(self.absolute, self.magnitude),
            // The same bits on every machine; the standard library asks the system.
            sqnr_db: finite(10.0 * libm::log10(self.signal / self.square)),
            chebyshev: finite(self.largest),
        }
    }
}

impl Errors {
    /// The worst of each measure; where one of the two is not a number, so is the result. A missing SQNR is the better one, since
    /// it is without noise, unless the error is not a number either.
    pub(crate) fn worst(a: &Errors, b: &Errors) -> Errors {
        let pick = |a: Option<f64>, b: Option<f64>, of: fn(f64, f64) -> f64| Some(of(a?, b?));
        Errors {
            cosine: pick(a.cosine, b.cosine, f64::min),
            mse: pick(a.mse, b.mse, f64::max),
            mre: pick(a.mre, b.mre, f64::max),
            sqnr_db: match (a.sqnr_db, b.sqnr_db) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (one, other) => one.or(other),
            },
            chebyshev: pick(a.chebyshev, b.chebyshev, f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_f32([values.len()], values.to_vec()).unwrap()
    }

    #[test]
    fn the_five_measures_of_two_samples_by_hand() {
        let mut sums = Sums::of(&tensor(&[1.0, 2.0]), &tensor(&[1.0, 4.0]));
        sums.add(&Sums::of(&tensor(&[0.0, -3.0]), &tensor(&[0.0, -2.0])));
        let e = sums.errors();
        assert_eq!((e.mse, e.mre, e.chebyshev), (Some(5.0 / 4.0), Some(3.0 / 7.0), Some(2.0)));
        assert!((e.sqnr_db.unwrap() - 10.0 * (21.0f64 / 5.0).log10()).abs() < 1e-12);
        let cosine = (9.0 / (5f64.sqrt() * 17f64.sqrt()) + 1.0) / 2.0;
        assert!((e.cosine.unwrap() - cosine).abs() < 1e-12);
    }

    #[test]
    fn no_noise_has_no_ratio_and_a_nan_is_seen() {
        let same = Sums::same(&tensor(&[1.0, -2.0])).errors();
        assert_eq!((same.mse, same.mre, same.sqnr_db), (Some(0.0), Some(0.0), None));
        assert!((same.cosine.unwrap() - 1.0).abs() < 1e-15);
        let nan = Sums::of(&tensor(&[f32::NAN, 1.0]), &tensor(&[1.0, 1.0])).errors();
        assert_eq!((nan.cosine, nan.mse, nan.chebyshev), (None, None, None));
        assert_eq!(Errors::worst(&same, &nan).cosine, None);
    }

    proptest! {
        #[test]
        fn measures_are_those_of_all_elements_at_once(values in prop::collection::vec((-9f32..9.0, -9f32..9.0), 2..60), at in 1usize..59) {
            let at = at.min(values.len() - 1);
            let of = |part: &[(f32, f32)]| {
                let (q, f): (Vec<f32>, Vec<f32>) = part.iter().copied().unzip();
                Sums::of(&tensor(&q), &tensor(&f))
            };
            let mut parts = of(&values[..at]);
            parts.add(&of(&values[at..]));
            let (parts, whole) = (parts.errors(), of(&values).errors());
            for (a, b) in [(parts.mse, whole.mse), (parts.mre, whole.mre), (parts.chebyshev, whole.chebyshev)] {
                prop_assert!((a.unwrap() - b.unwrap()).abs() <= 1e-9 * b.unwrap().abs());
            }
        }
    }
}

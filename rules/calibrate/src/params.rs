//! From a histogram to quantization parameters.

use crate::{Histogram, methods};
use ptq_ir::{ActScheme, ActivationQuant, DType, QuantParams};
use serde::{Deserialize, Serialize};

/// How thresholds are chosen (`calibration.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The largest magnitude, or the percentile `max_percentile` of magnitudes.
    #[default]
    Max,
    /// Least Kullback-Leibler divergence.
    Kl,
    /// No data: thresholds from synthetic samples, for checks of speed and placement only.
    Skip,
}

/// The calibration part of a variant's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calibration {
    /// Method.
    #[serde(rename = "type")]
    pub method: Method,
    /// Share of elements that the threshold of `max` covers; 1.0 is the plain maximum.
    pub max_percentile: f64,
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration { method: Method::Max, max_percentile: 1.0 }
    }
}

/// Parameters of an activation after this calibration in this scheme.
pub fn quant_params(histogram: &Histogram, calibration: &Calibration, scheme: ActScheme) -> ActivationQuant {
    let (threshold, method) = match calibration.method {
        Method::Max if calibration.max_percentile < 1.0 => {
            (methods::percentile(histogram, calibration.max_percentile), "max-percentile")
        }
        Method::Max => (histogram.abs_max(), "max"),
        Method::Kl => (methods::kl(histogram), "kl"),
        Method::Skip => (histogram.abs_max(), "skip"),
    };
    let seen = histogram.min <= histogram.max;
    let lo = if seen { histogram.min.max(-threshold).min(0.0) } else { 0.0 };
    let hi = if seen { histogram.max.min(threshold).max(0.0) } else { 0.0 };
    ActivationQuant { params: from_range(lo, hi, scheme), lo, hi, method: method.to_owned() }
}

/// Parameters that cover `lo..hi` (which contains 0). Symmetric: `scale = max(|lo|, |hi|) / 127`. Affine:
/// `scale = (hi - lo) / 255`, `zero_point = round(-lo / scale)` (ONNX QuantizeLinear). A range without extent gets scale 1.
fn from_range(lo: f32, hi: f32, scheme: ActScheme) -> QuantParams {
    let usable = |s: f32| if s.is_normal() { s } else { 1.0 };
    match scheme {
        ActScheme::SymmetricInt8 => {
            QuantParams::per_tensor(DType::I8, usable(((f64::from(hi).max(-f64::from(lo))) / 127.0) as f32), 0)
        }
        ActScheme::AffineUint8 => {
            let scale = usable(not_above((f64::from(hi) - f64::from(lo)) / 255.0));
            let zero = (-f64::from(lo) / f64::from(scale)).round_ties_even().clamp(0.0, 255.0) as i32;
            QuantParams::per_tensor(DType::U8, scale, zero)
        }
    }
}

/// The nearest float32 that is not above `x`: 255 steps must not pass the upper end, or a Clip in front of the tensor
/// would still be needed.
fn not_above(x: f64) -> f32 {
    let nearest = x as f32;
    if f64::from(nearest) > x { nearest.next_down() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let mut h = Histogram::default();
        h.observe(values);
        h
    }

    #[test]
    fn symmetric_scale_is_threshold_over_127() {
        let q = quant_params(&histogram(&[-2.54, 1.0]), &Calibration::default(), ActScheme::SymmetricInt8);
        assert_eq!((q.params.scale0(), q.params.zero_point0()), (2.54f32 / 127.0, 0));
        assert!((q.params.threshold() - 2.54).abs() < 1e-6);
    }

    #[test]
    fn tensors_that_are_never_negative_have_zero_point_0_and_stay_below_their_clip() {
        let q = quant_params(&histogram(&[0.0, 6.0]), &Calibration::default(), ActScheme::AffineUint8);
        assert_eq!(q.params.zero_point0(), 0);
        assert!(f64::from(q.params.scale0()) * 255.0 <= 6.0);
    }

    #[test]
    fn an_empty_or_constant_zero_tensor_gets_scale_1() {
        for h in [histogram(&[]), histogram(&[0.0; 9])] {
            for scheme in [ActScheme::SymmetricInt8, ActScheme::AffineUint8] {
                assert_eq!(quant_params(&h, &Calibration::default(), scheme).params.scale0(), 1.0);
            }
        }
    }

    #[test]
    fn a_positive_range_is_widened_to_contain_zero() {
        let q = quant_params(&histogram(&[5.0, 10.0]), &Calibration::default(), ActScheme::AffineUint8);
        assert_eq!((q.lo, q.params.zero_point0()), (0.0, 0));
    }
}

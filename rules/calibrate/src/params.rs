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
    /// Least mean squared error.
    Mse,
    /// The best of up to five ways, by cosine similarity of the outputs.
    Default,
    /// Different ways for sensitive nodes, by cosine similarity of the outputs.
    Mix,
    /// Everything that `default` tries, and mean squared error, bias correction and compensated rounding.
    Auto,
    /// Ranges from a file; nothing is observed.
    Load,
    /// No data: thresholds from synthetic samples, for checks of speed and placement only.
    Skip,
}

impl Method {
    /// Whether candidates are scored.
    pub fn is_search(self) -> bool {
        matches!(self, Method::Default | Method::Mix | Method::Auto)
    }
}

/// Where a search compares float and quantized results (`calibration.score_at`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreAt {
    /// At the model's outputs.
    #[default]
    Output,
    /// At the last quantized value in front of each output: behind it, a Softmax would hide the loss.
    LastQuantized,
}

/// How the scales of weights are chosen, one a filter (`calibration.weights`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightScale {
    /// The largest magnitude.
    #[default]
    Max,
    /// Least mean squared error.
    Mse,
}

/// How weights become integers (`calibration.rounding`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightRounding {
    /// Each to the nearest.
    #[default]
    Nearest,
    /// One after the other, where those still open and the bias make up for what the rounded ones lost.
    Compensated,
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
    /// Zero points that follow the range, on a march whose scheme is symmetric.
    pub asymmetric: bool,
    /// Thresholds per channel of a feature map, where its producer and consumers can absorb that.
    pub per_channel: bool,
    /// Samples that a search scores on, from the first in name order; `auto` takes more where there are many.
    pub score_samples: usize,
    /// Where a search compares.
    pub score_at: ScoreAt,
    /// `mix`: a node whose score alone is below this is sensitive.
    pub sensitive_below: f64,
    /// How the scales of weights are chosen.
    pub weights: WeightScale,
    /// Whether biases make up for the mean error of their filters.
    pub bias_correction: bool,
    /// How weights become integers.
    pub rounding: WeightRounding,
    /// `auto`: largest share of the model's multiply-accumulates that may have a 16-bit factor; 0 keeps to 8 bits.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_int16_macs: f64,
    /// Whether channels between two Convs get scales that make their weights equally large.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub equalization: bool,
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration {
            method: Method::Max,
            max_percentile: 1.0,
            asymmetric: false,
            per_channel: false,
            score_samples: 8,
            score_at: ScoreAt::Output,
            sensitive_below: 0.999,
            weights: WeightScale::Max,
            bias_correction: false,
            rounding: WeightRounding::Nearest,
            max_int16_macs: 0.0,
            equalization: false,
        }
    }
}

/// What chooses a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pick {
    /// The exact extremes.
    Max,
    /// The percentile of magnitudes, 0..1.
    Percentile(f64),
    /// Least Kullback-Leibler divergence.
    Kl,
    /// Least mean squared error.
    Mse,
    /// What a file states.
    Loaded,
}

/// One way to choose the parameters of an activation: what chooses the range, and in which scheme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Way {
    /// What chooses the range.
    pub pick: Pick,
    /// Whether the zero point follows the range also where the march's scheme is symmetric.
    pub asymmetric: bool,
    /// Whether every channel has a threshold of its own, where its producer and consumers can absorb that.
    pub per_channel: bool,
    /// Whether channels have scales by cross-layer equalization, where their producer and consumers can absorb that.
    pub equalized: bool,
    /// Whether the range of what only functions of one number read is that of the least error behind them.
    pub behind: bool,
}

impl Way {
    /// A range in the march's own scheme.
    pub const fn of(pick: Pick) -> Way {
        Way { pick, asymmetric: false, per_channel: false, equalized: false, behind: false }
    }

    /// The one way that settings without a search name.
    pub fn named(calibration: &Calibration) -> Way {
        let pick = match calibration.method {
            Method::Kl => Pick::Kl,
            Method::Mse => Pick::Mse,
            Method::Max if calibration.max_percentile < 1.0 => Pick::Percentile(calibration.max_percentile),
            Method::Load => Pick::Loaded,
            Method::Max | Method::Default | Method::Mix | Method::Auto | Method::Skip => Pick::Max,
        };
        let Calibration { asymmetric, per_channel, equalization: equalized, .. } = *calibration;
        Way { pick, asymmetric, per_channel, equalized, behind: false }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pick {
            Pick::Max => f.write_str("max")?,
            Pick::Percentile(p) => write!(f, "max-percentile {p}")?,
            Pick::Kl => f.write_str("kl")?,
            Pick::Mse => f.write_str("mse")?,
            Pick::Loaded => f.write_str("load")?,
        }
        f.write_str(if self.per_channel { " + per-channel" } else { "" })?;
        f.write_str(if self.equalized { " + equalization" } else { "" })?;
        f.write_str(if self.behind { " + behind functions" } else { "" })?;
        f.write_str(if self.asymmetric { " + asymmetric" } else { "" })
    }
}

/// Parameters of an activation chosen this way; `scheme` is the march's.
///
/// With 16 bits KL and MSE are the maximum: a step is far below a histogram's bin, so that clipping can only lose.
pub fn quant_params(histogram: &Histogram, way: Way, scheme: ActScheme) -> ActivationQuant {
    let scheme = if way.asymmetric { scheme.asymmetric() } else { scheme };
    let (lo, hi) = match way.pick {
        Pick::Kl | Pick::Mse if scheme == ActScheme::SymmetricInt16 => clipped(histogram, histogram.abs_max()),
        Pick::Max | Pick::Loaded => clipped(histogram, histogram.abs_max()),
        Pick::Percentile(p) => clipped(histogram, methods::percentile(histogram, p)),
        Pick::Kl => clipped(histogram, methods::kl(histogram, scheme)),
        Pick::Mse => methods::mse(histogram, scheme),
    };
    ActivationQuant { params: from_range(lo, hi, scheme), lo, hi, method: way.to_string() }
}

/// The same for a value that only these functions read: the range of the least error behind them, or where they have no results, [`quant_params`].
pub(crate) fn quant_params_behind(
    histogram: &Histogram,
    way: Way,
    scheme: ActScheme,
    functions: &[methods::Function<'_>],
) -> ActivationQuant {
    let full = if way.asymmetric { scheme.asymmetric() } else { scheme };
    match methods::behind(histogram, full, functions) {
        Some((lo, hi)) => ActivationQuant { params: from_range(lo, hi, full), lo, hi, method: way.to_string() },
        None => quant_params(histogram, way, scheme),
    }
}

/// The ends that a channel's scale must cover: for each end the geometric mean of the channel's own extreme, clipped to the range that
/// was chosen for the whole tensor, and that range's end. A channel that hardly moved on the samples may move more elsewhere: on
/// EfficientNet-Lite0 clipping channels to their own extremes loses .032 of cosine on photos that were not calibrated with, clipping to
/// the mean .007.
pub(crate) fn channel_range(whole: &ActivationQuant, &(min, max): &(f32, f32)) -> (f32, f32) {
    let mean = |own: f32, all: f32| (f64::from(own) * f64::from(all)).sqrt() as f32;
    let (lo, hi) = (min.max(whole.lo).min(0.0), max.min(whole.hi).max(0.0));
    (-mean(lo, whole.lo), mean(hi, whole.hi))
}

/// The same choice with a threshold of its own for each channel ([`channel_range`]). Stays per tensor when the channels' zero points
/// would differ (the readers add one), and gives a channel without elements other than zero the whole tensor's scale.
pub(crate) fn per_channel(
    whole: &ActivationQuant,
    ranges: &[(f32, f32)],
    way: Way,
    scheme: ActScheme,
) -> ActivationQuant {
    let scheme = if way.asymmetric { scheme.asymmetric() } else { scheme };
    let of = |range: &(f32, f32)| {
        let (lo, hi) = channel_range(whole, range);
        if lo == hi { whole.params.clone() } else { from_range(lo, hi, scheme) }
    };
    let each: Vec<QuantParams> = ranges.iter().map(of).collect();
    let zero = each.first().map_or(0, QuantParams::zero_point0);
    if each.is_empty() || each.iter().any(|p| p.zero_point0() != zero) {
        return whole.clone();
    }
    let params = QuantParams {
        dtype: whole.params.dtype,
        scale: each.iter().map(QuantParams::scale0).collect(),
        zero_point: vec![zero; each.len()],
        axis: Some(1),
    };
    ActivationQuant { params, ..whole.clone() }
}

/// The observed range, widened to contain zero and clipped to this magnitude.
fn clipped(histogram: &Histogram, threshold: f32) -> (f32, f32) {
    if histogram.min > histogram.max {
        return (0.0, 0.0);
    }
    (histogram.min.max(-threshold).min(0.0), histogram.max.min(threshold).max(0.0))
}

/// Parameters that cover `lo..hi` (which contains 0). Symmetric: `scale = max(|lo|, |hi|) / 127`, for int16 `/ 32767`. Affine:
/// `scale = (hi - lo) / 255`, `zero_point = round(-lo / scale)` (ONNX QuantizeLinear), 128 lower for int8. A range without
/// extent gets scale 1.
pub(crate) fn from_range(lo: f32, hi: f32, scheme: ActScheme) -> QuantParams {
    let usable = |s: f32| if s.is_normal() { s } else { 1.0 };
    match scheme {
        ActScheme::SymmetricInt8 => {
            QuantParams::per_tensor(DType::I8, usable(((f64::from(hi).max(-f64::from(lo))) / 127.0) as f32), 0)
        }
        ActScheme::SymmetricInt16 => {
            QuantParams::per_tensor(DType::I16, usable(((f64::from(hi).max(-f64::from(lo))) / 32_767.0) as f32), 0)
        }
        ActScheme::AffineUint8 | ActScheme::AffineInt8 => {
            let step = usable(not_above((f64::from(hi) - f64::from(lo)) / 255.0));
            let zero = (-f64::from(lo) / f64::from(step)).round_ties_even().clamp(0.0, 255.0) as i32;
            match scheme {
                ActScheme::AffineInt8 => QuantParams::per_tensor(DType::I8, step, zero - 128),
                _ => QuantParams::per_tensor(DType::U8, step, zero),
            }
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
        let q = quant_params(&histogram(&[-2.54, 1.0]), Way::of(Pick::Max), ActScheme::SymmetricInt8);
        assert_eq!((q.params.scale0(), q.params.zero_point0()), (2.54f32 / 127.0, 0));
        assert!((q.params.threshold() - 2.54).abs() < 1e-6);
    }

    #[test]
    fn tensors_that_are_never_negative_have_zero_point_0_and_stay_below_their_clip() {
        let q = quant_params(&histogram(&[0.0, 6.0]), Way::of(Pick::Max), ActScheme::AffineUint8);
        assert_eq!(q.params.zero_point0(), 0);
        assert!(f64::from(q.params.scale0()) * 255.0 <= 6.0);
    }

    #[test]
    fn asymmetric_int8_is_affine_uint8_moved_by_128() {
        let h = histogram(&[-1.0, 3.0]);
        let i = quant_params(&h, Way { asymmetric: true, ..Way::of(Pick::Max) }, ActScheme::SymmetricInt8).params;
        let u = quant_params(&h, Way::of(Pick::Max), ActScheme::AffineUint8).params;
        assert_eq!((i.dtype, i.scale0(), i.zero_point0()), (DType::I8, u.scale0(), u.zero_point0() - 128));
    }

    #[test]
    fn an_empty_or_constant_zero_tensor_gets_scale_1() {
        for h in [histogram(&[]), histogram(&[0.0; 9])] {
            for scheme in [ActScheme::SymmetricInt8, ActScheme::AffineUint8] {
                assert_eq!(quant_params(&h, Way::of(Pick::Max), scheme).params.scale0(), 1.0);
            }
        }
    }

    #[test]
    fn a_channels_range_lies_between_its_own_and_the_whole_tensors() {
        let h = histogram(&[0.0, 8.0]);
        let way = Way { per_channel: true, ..Way::of(Pick::Max) };
        let whole = quant_params(&h, way, ActScheme::AffineUint8);
        assert_eq!(channel_range(&whole, &(0.0, 2.0)), (0.0, 4.0));
        assert_eq!(channel_range(&whole, &(-1.0, 20.0)), (0.0, 8.0), "clipped to the whole tensor's");
        let each = per_channel(&whole, &[(0.0, 8.0), (0.0, 2.0), (0.0, 0.0)], way, ActScheme::AffineUint8).params;
        assert_eq!(each.scale[0], whole.params.scale0());
        assert!((f64::from(each.scale[1]) * 255.0 - 4.0).abs() < 1e-5, "{}", each.scale[1]);
        assert_eq!((each.scale[2], each.axis), (whole.params.scale0(), Some(1)));
    }

    #[test]
    fn a_positive_range_is_widened_to_contain_zero() {
        let q = quant_params(&histogram(&[5.0, 10.0]), Way::of(Pick::Max), ActScheme::AffineUint8);
        assert_eq!((q.lo, q.params.zero_point0()), (0.0, 0));
    }
}

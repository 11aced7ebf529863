//! Scales of a filter's weights.

/// Largest magnitude of a quantized weight.
const LEVELS: f64 = 127.0;
/// Scales are tried from this share of the plain one up to it, in as many steps.
const SMALLEST_SHARE: f64 = 0.5;
const STEPS: u32 = 48;

/// `max|w| / 127`: no weight is clipped.
pub fn max_scale(filter: &[f32]) -> f64 {
    f64::from(filter.iter().fold(0f32, |m, w| m.max(w.abs()))) / LEVELS
}

/// The scale `s` with the least `Σ (w − s·clamp(round(w / s), −127, 127))²` among even shares of [`max_scale`]: clipping the
/// few largest weights may cost less than a coarser grid for all (range setting by mean squared error; Nagel et al., "A White Paper
/// on Neural Network Quantization", 2021, section 3.1). Ties go to the larger scale.
pub fn mse_scale(filter: &[f32]) -> f64 {
    let max = max_scale(filter);
    let shares = (0..=STEPS).map(|i| 1.0 - (1.0 - SMALLEST_SHARE) * f64::from(i) / f64::from(STEPS));
    let mut best = (max, error(filter, max));
    for scale in shares.skip(1).map(|share| share * max) {
        let e = error(filter, scale);
        if e < best.1 {
            best = (scale, e);
        }
    }
    best.0
}

fn error(filter: &[f32], scale: f64) -> f64 {
    let one = |&w: &f32| {
        let q = (f64::from(w) / scale).round_ties_even().clamp(-LEVELS, LEVELS);
        (f64::from(w) - q * scale).powi(2)
    };
    filter.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The error by the kernels that quantize, at a float32 scale.
    fn measured(filter: &[f32], scale: f32) -> f64 {
        use ptq_kernels::requant::{dequantize, quantize};
        filter.iter().map(|&w| f64::from(w - dequantize(quantize(w, scale, 0, -127, 127), scale, 0)).powi(2)).sum()
    }

    proptest! {
        #[test]
        fn no_share_of_the_plain_scale_is_better(body in prop::collection::vec(-0.2f32..0.2, 20..300), outlier in 0.2f32..0.4) {
            let filter: Vec<f32> = body.into_iter().chain([outlier]).collect();
            let (ours, max) = (measured(&filter, mse_scale(&filter) as f32), max_scale(&filter));
            let shares = (0..=48).map(|i| measured(&filter, (max * (1.0 - f64::from(i) / 96.0)) as f32));
            let best = shares.fold(f64::INFINITY, f64::min);
            prop_assert!(ours <= best * (1.0 + 1e-2), "{} {}", ours, best);
        }
    }

    #[test]
    fn a_lone_outlier_is_clipped_and_zeros_have_no_scale() {
        let mut filter: Vec<f32> = (0..4000).map(|i| ((i * 37 % 401) as f32 - 200.0) / 1000.0).collect();
        filter.push(0.22);
        assert!(mse_scale(&filter) < max_scale(&filter));
        assert_eq!((mse_scale(&[0.0; 9]), max_scale(&[])), (0.0, 0.0));
        assert_eq!(mse_scale(&[1.27, -0.5, 0.01]), max_scale(&[1.27, -0.5, 0.01]), "already on its grid");
    }
}

//! The plain maximum and the percentile of magnitudes.

use crate::Histogram;

/// The magnitude that a fraction `p` of all elements does not exceed; the exact maximum for `p` = 1.
/// Inside a bin, elements are taken as evenly spread. Zeros count as elements.
pub fn percentile(histogram: &Histogram, p: f64) -> f32 {
    let max = histogram.abs_max();
    let target = p * histogram.count() as f64;
    if p >= 1.0 || max == 0.0 {
        return max;
    }
    let mut below = histogram.zeros as f64;
    for (bin, &count) in histogram.magnitudes().iter().enumerate().filter(|(_, c)| **c > 0) {
        let count = count as f64;
        if below + count >= target {
            let (lo, hi) = (Histogram::lower_edge(bin), Histogram::lower_edge(bin + 1));
            let inside = ((target - below) / count).clamp(0.0, 1.0);
            return ((lo + (hi - lo) * inside) as f32).min(max);
        }
        below += count;
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_within_a_bin_of_the_sorted_percentile(mut v in proptest::collection::vec(-50f32..50.0, 50..400), p in 0.5f64..1.0) {
            let mut h = Histogram::default();
            h.observe(&v);
            let got = f64::from(percentile(&h, p));
            v.iter_mut().for_each(|x| *x = x.abs());
            v.sort_by(f32::total_cmp);
            let rank = ((p * v.len() as f64).ceil() as usize).clamp(1, v.len());
            let want = f64::from(v[rank - 1]);
            prop_assert!((got - want).abs() <= want / 256.0 + 1e-6, "{} {}", got, want);
        }
    }

    #[test]
    fn one_is_the_plain_maximum() {
        let mut h = Histogram::default();
        h.observe(&[1.0, -7.25, 3.0]);
        assert_eq!(percentile(&h, 1.0), 7.25);
    }
}

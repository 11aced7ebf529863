//! Rank correlation, shares and mean errors.

/// Spearman's rank correlation; equal values share their mean rank.
pub(crate) fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(&a), mean(&b));
    let product: f64 = a.iter().zip(&b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let square = |v: &[f64], m: f64| v.iter().map(|x| (x - m).powi(2)).sum::<f64>();
    product / (square(&a, ma) * square(&b, mb)).sqrt()
}

fn ranks(v: &[f64]) -> Vec<f64> {
    let of = |x: &f64| {
        let below = v.iter().filter(|y| *y < x).count();
        let equal = v.iter().filter(|y| *y == x).count();
        below as f64 + (equal as f64 + 1.0) / 2.0
    };
    v.iter().map(of).collect()
}

/// The share of values from `lo` to `hi`, in percent.
pub(crate) fn within(values: &[f64], lo: f64, hi: f64) -> f64 {
    100.0 * values.iter().filter(|v| (lo..=hi).contains(*v)).count() as f64 / values.len() as f64
}

/// A value below which this share of the values lies.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Mean of `|predicted - measured| / measured`, in percent, over (predicted, measured).
pub(crate) fn mean_error(pairs: &[(f64, f64)]) -> f64 {
    100.0 * pairs.iter().map(|(p, m)| (p - m).abs() / m).sum::<f64>() / pairs.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_as_by_hand() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]), 1.0);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
        assert!((spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 3.0, 2.0, 4.0]) - 0.948_683).abs() < 1e-6);
        assert_eq!(within(&[0.5, 0.7, 1.0, 1.5], 0.7, 1.4), 50.0);
        assert_eq!(mean_error(&[(1.0, 2.0), (3.0, 2.0)]), 50.0);
    }
}

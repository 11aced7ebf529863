//! Threshold of least Kullback-Leibler divergence.
//!
//! After Migacz, "8-bit Inference with TensorRT" (GTC 2017, S7310): compare the clipped distribution P with what the
//! uniform levels of the quantized type keep of it, Q, for every candidate threshold: 128 for each sign of a symmetric
//! int8 tensor, up to 256 where a zero point gives the levels of the missing sign to the other. Our bins are relative, so a level's mass is spread over
//! its non-empty bins in proportion to their width, which for bins of one width is the original rule. Exact zeros are left
//! out: a level represents them without error, and the spike behind a Relu would hide everything else.

use crate::Histogram;
use ptq_ir::ActScheme;
// The same bits on every machine; the standard library asks the system.
use libm::log;

/// Quantization levels of one sign of a symmetric int8 tensor.
const LEVELS: usize = 128;
/// Candidates reach from the maximum down to this share of it.
const SMALLEST_SHARE: f64 = 1.0 / 64.0;
/// Stand-in for an empty bin's share of Q where P is not empty.
const EPSILON: f64 = 1e-10;
/// One candidate in so many is looked at first, so that most others can be given up early.
const STEP: usize = 64;
/// What a candidate must be worse than the best by to be given up: far above what rounding changes.
const MARGIN: f64 = 1e-9;

/// The candidate threshold (upper edge of a bin) with the least divergence in this scheme; the maximum for tensors with
/// fewer distinct magnitudes than levels. Each candidate costs O(levels) by prefix sums.
pub fn kl(histogram: &Histogram, scheme: ActScheme) -> f32 {
    let max = histogram.abs_max();
    let counts = histogram.magnitudes();
    let sums = Sums::of(&counts);
    let Some(last) = counts.iter().rposition(|&c| c > 0) else { return max };
    if counts.iter().filter(|c| **c > 0).count() <= levels(histogram, scheme, f64::from(max)) {
        return max;
    }
    let first = Histogram::bin_of(f64::from(max) * SMALLEST_SHARE).unwrap_or(0);
    let of = |bin: usize, bound: f64| {
        let levels = levels(histogram, scheme, Histogram::lower_edge(bin + 1));
        sums.divergence(&counts, bin, levels, bound)
    };
    let few = (first..=last).step_by(STEP).filter_map(|bin| of(bin, f64::INFINITY));
    let mut bound = few.fold(f64::INFINITY, f64::min);
    let mut best = (f64::INFINITY, last);
    for bin in first..=last {
        if let Some(divergence) = of(bin, bound).filter(|d| *d < best.0) {
            best = (divergence, bin);
            bound = bound.min(divergence);
        }
    }
    if best.1 == last { max } else { (Histogram::lower_edge(best.1 + 1) as f32).min(max) }
}

/// Levels between zero and this threshold when the range is clipped to it: all 256 of an affine scheme in proportion to the
/// threshold's share of the range.
fn levels(histogram: &Histogram, scheme: ActScheme, threshold: f64) -> usize {
    if !scheme.is_affine() {
        return LEVELS;
    }
    let above = f64::from(histogram.max).clamp(0.0, threshold);
    let below = f64::from(-histogram.min).clamp(0.0, threshold);
    let share = above.max(below) / (above + below).max(f64::MIN_POSITIVE);
    ((2 * LEVELS) as f64 * share).round() as usize
}

/// Prefix sums over bins: entry `i` sums bins below `i`.
struct Sums {
    count: Vec<f64>,
    width: Vec<f64>,
    entropy: Vec<f64>,
}

impl Sums {
    fn of(counts: &[u64]) -> Sums {
        let n = counts.len() + 1;
        let mut s = Sums { count: vec![0.0; n], width: vec![0.0; n], entropy: vec![0.0; n] };
        for (i, &c) in counts.iter().enumerate() {
            let (h, w) = (c as f64, width(i));
            s.count[i + 1] = s.count[i] + h;
            s.width[i + 1] = s.width[i] + if c > 0 { w } else { 0.0 };
            s.entropy[i + 1] = s.entropy[i] + if c > 0 { h * log(h / w) } else { 0.0 };
        }
        s
    }

    /// `Σ P ln(P / Q)` when everything above bin `last` is clipped into it:
    /// `(A - Σ_g m_g ln(m_g / z_g)) / N + (C / N) ln(C / N)` plus the clipped mass in the last bin, where `A` sums
    /// `h ln(h / w)`, and `m_g` and `z_g` are a level's count and non-empty width.
    ///
    /// `None` as soon as it is seen to be above `bound`: what a level adds, `A_g - m_g ln(m_g / z_g)`, is never negative (the log-sum
    /// inequality; Cover and Thomas, Elements of Information Theory, theorem 2.7.1).
    fn divergence(&self, counts: &[u64], last: usize, levels: usize, bound: f64) -> Option<f64> {
        let (n, c) = (self.count[counts.len()], self.count[last + 1]);
        if c == 0.0 {
            return None;
        }
        let threshold = Histogram::lower_edge(last + 1);
        let end = |level: usize| Histogram::bin_of(threshold * level as f64 / levels as f64).unwrap_or(0);
        let within = |from: usize, to: usize| (self.count[to] - self.count[from], self.width[to] - self.width[from]);
        let (m, z) = within(if levels > 1 { end(levels - 1) } else { 0 }, last + 1);
        let top_density = if m > 0.0 { m / z } else { 0.0 };
        let whole = c / n * log(c / n);
        let cut = clipped(counts[last] as f64, n - c, n, top_density * width(last) / c);
        let limit = (bound + MARGIN - whole - cut) * n;
        let mut kept = 0.0;
        let mut from = 0;
        for level in 1..=levels {
            let to = if level == levels { last + 1 } else { end(level).max(from) };
            let (m, z) = within(from, to);
            if m > 0.0 {
                kept += m * log(m / z);
            }
            if self.entropy[to] - kept > limit {
                return None;
            }
            from = to;
        }
        Some((self.entropy[last + 1] - kept) / n + whole + cut)
    }
}

fn width(bin: usize) -> f64 {
    Histogram::lower_edge(bin + 1) - Histogram::lower_edge(bin)
}

/// What clipping `tail` elements into the last bin of `h` adds, when that bin's share of Q is `q`.
fn clipped(h: f64, tail: f64, n: f64, q: f64) -> f64 {
    if tail <= 0.0 {
        return 0.0;
    }
    if h > 0.0 && q > 0.0 {
        let with = (h + tail) / n;
        with * log(with / q) - h / n * log(h / n / q)
    } else {
        tail / n * log(tail / n / EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reproducible sample of a Laplace distribution with two outliers.
    fn laplace(n: usize) -> Vec<f32> {
        let mut state = 1u64;
        let mut unit = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f64 + 0.5) / f64::from(1u32 << 24)
        };
        let mut v: Vec<f32> = (0..n)
            .map(|_| {
                let u = unit() - 0.5;
                (-u.signum() * (1.0 - 2.0 * u.abs()).ln()) as f32
            })
            .collect();
        v.extend([45.0, -60.0]);
        v
    }

    /// The divergence by its definition, bin by bin.
    fn brute(counts: &[u64], last: usize, levels: usize) -> f64 {
        let n: f64 = counts.iter().map(|&c| c as f64).sum();
        let c: f64 = counts[..=last].iter().map(|&c| c as f64).sum();
        let threshold = Histogram::lower_edge(last + 1);
        let mut edges = vec![0];
        for level in 1..levels {
            let to = Histogram::bin_of(threshold * level as f64 / levels as f64).unwrap_or(0);
            edges.push(to.max(edges[level - 1]));
        }
        edges.push(last + 1);
        let mut total = 0.0;
        for g in 0..levels {
            let bins = edges[g]..edges[g + 1];
            let m: f64 = bins.clone().map(|b| counts[b] as f64).sum();
            let z: f64 = bins.clone().filter(|&b| counts[b] > 0).map(width).sum();
            for b in bins.filter(|&b| counts[b] > 0 || b == last) {
                let p = (counts[b] as f64 + if b == last { n - c } else { 0.0 }) / n;
                let q = if counts[b] > 0 { m / z * width(b) / c } else { EPSILON };
                if p > 0.0 {
                    total += p * (p / q).ln();
                }
            }
        }
        total
    }

    #[test]
    fn prefix_sums_equal_the_definition() {
        let mut h = Histogram::default();
        h.observe(&laplace(20_000));
        let counts = h.magnitudes();
        let sums = Sums::of(&counts);
        let last = counts.iter().rposition(|&c| c > 0).expect("not empty");
        for (bin, levels) in (last - 2000..=last).step_by(37).flat_map(|bin| [(bin, 128), (bin, 256), (bin, 171)]) {
            let fast = sums.divergence(&counts, bin, levels, f64::INFINITY).expect("something is kept");
            let slow = brute(&counts, bin, levels);
            assert_eq!(sums.divergence(&counts, bin, levels, fast), Some(fast));
            assert_eq!(sums.divergence(&counts, bin, levels, fast - 1e-6), None);
            assert!((fast - slow).abs() < 1e-9 * slow.abs().max(1.0), "bin {bin}, {levels} levels: {fast} {slow}");
        }
    }

    /// Migacz's procedure on 2,048 bins of one width, bin by bin.
    fn uniform_2048(values: &[f32]) -> f64 {
        let max = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let w = f64::from(max) / 2048.0;
        let mut h = vec![0f64; 2048];
        for v in values.iter().filter(|v| **v != 0.0) {
            h[((f64::from(v.abs()) / w) as usize).min(2047)] += 1.0;
        }
        let n: f64 = h.iter().sum();
        let mut best = (f64::INFINITY, 2048);
        for i in 128..=2048 {
            let tail: f64 = h[i..].iter().sum();
            let c = n - tail;
            let mut d = 0.0;
            for g in 0..128 {
                let (a, b) = (g * i / 128, (g + 1) * i / 128);
                let m: f64 = h[a..b].iter().sum();
                let z = h[a..b].iter().filter(|x| **x > 0.0).count() as f64;
                for j in a..b {
                    let p = (h[j] + if j == i - 1 { tail } else { 0.0 }) / n;
                    let q = if h[j] > 0.0 { m / z / c } else { EPSILON };
                    if p > 0.0 {
                        d += p * (p / q).ln();
                    }
                }
            }
            if d < best.0 {
                best = (d, i);
            }
        }
        best.1 as f64 * w
    }

    #[test]
    fn it_agrees_with_uniform_bins_on_a_long_tail() {
        let values = laplace(200_000);
        let mut h = Histogram::default();
        h.observe(&values);
        let (ours, theirs) = (f64::from(kl(&h, ActScheme::SymmetricInt8)), uniform_2048(&values));
        assert!((ours / theirs - 1.0).abs() < 0.35, "ours {ours}, uniform bins {theirs}");
        assert!(ours < 30.0, "the outliers must be clipped: {ours}");
    }

    #[test]
    fn candidates_that_are_given_up_would_not_have_won() {
        for (seed, scheme) in [(0, ActScheme::SymmetricInt8), (1, ActScheme::AffineUint8), (2, ActScheme::AffineUint8)]
        {
            let shape = |v: f32| [v, v.max(0.0), v * v.abs() + 0.3][seed];
            let mut h = Histogram::default();
            h.observe(&laplace(3_000 << (2 * seed)).into_iter().map(shape).collect::<Vec<_>>());
            let (counts, max) = (h.magnitudes(), h.abs_max());
            let sums = Sums::of(&counts);
            let last = counts.iter().rposition(|&c| c > 0).expect("something was counted");
            let first = Histogram::bin_of(f64::from(max) * SMALLEST_SHARE).expect("a bin");
            let all = (first..=last).map(|bin| {
                let levels = levels(&h, scheme, Histogram::lower_edge(bin + 1));
                (bin, sums.divergence(&counts, bin, levels, f64::INFINITY).expect("something is kept"))
            });
            let best = all.reduce(|a, b| if b.1 < a.1 { b } else { a }).expect("candidates");
            let expect = if best.0 == last { max } else { Histogram::lower_edge(best.0 + 1) as f32 };
            assert_eq!(kl(&h, scheme), expect.min(max));
        }
    }

    #[test]
    fn a_relu_spike_and_tiny_tensors_do_not_break_it() {
        let mut h = Histogram::default();
        let relu: Vec<f32> = laplace(50_000).into_iter().map(|v| v.max(0.0)).collect();
        h.observe(&relu);
        assert!(kl(&h, ActScheme::SymmetricInt8) > 2.0);
        let fine = kl(&h, ActScheme::AffineUint8);
        assert!(fine > kl(&h, ActScheme::SymmetricInt8), "twice the levels need less clipping: {fine}");
        let mut few = Histogram::default();
        few.observe(&[0.5, 1.0, -2.0]);
        for scheme in [ActScheme::SymmetricInt8, ActScheme::AffineUint8] {
            assert_eq!(kl(&few, scheme), 2.0);
            assert_eq!(kl(&Histogram::default(), scheme), 0.0);
        }
    }

    #[test]
    fn a_zero_point_gives_the_levels_of_a_missing_sign_to_the_other() {
        let of = |values: &[f32], t: f64| {
            let mut h = Histogram::default();
            h.observe(values);
            levels(&h, ActScheme::AffineUint8, t)
        };
        assert_eq!((of(&[0.0, 6.0], 6.0), of(&[-6.0, 6.0], 6.0), of(&[-2.0, 6.0], 6.0)), (256, 128, 192));
        assert_eq!(of(&[-2.0, 6.0], 2.0), 128, "clipped to 2, the range is even");
    }
}

//! Least squares over grids, with a symmetric positive matrix.
//!
//! The nearest-plane rule (Babai, "On Lovász' lattice reduction and the nearest lattice point problem", Combinatorica
//! 1986) rounds one coordinate after the other and lets the open ones take up what the rounded ones lost; with a layer's Gram
//! matrix it is error-compensated rounding of weights (GPTQ: Frantar et al., ICLR 2023). Called by calibrate.

/// `G = Uᵀ·U` with an upper triangular `U`, of a symmetric positive matrix.
#[derive(Clone, Debug)]
pub struct Factor {
    n: usize,
    /// Row-major; zero below the diagonal.
    upper: Vec<f64>,
}

impl Factor {
    /// Factors an `n × n` row-major matrix, of which the upper triangle is read (Cholesky). `None` when it is not positive
    /// definite.
    pub fn of(mut gram: Vec<f64>, n: usize) -> Option<Factor> {
        if gram.len() != n * n {
            return None;
        }
        for i in 0..n {
            let (above, below) = gram.split_at_mut((i + 1) * n);
            let row = &mut above[i * n..];
            let pivot = row[i].sqrt();
            if !pivot.is_normal() {
                return None;
            }
            row[..i].fill(0.0);
            row[i..].iter_mut().for_each(|v| *v /= pivot);
            for (r, later) in below.chunks_exact_mut(n).enumerate() {
                let j = i + 1 + r;
                let factor = row[j];
                if factor != 0.0 {
                    later[j..].iter_mut().zip(&row[j..]).for_each(|(a, b)| *a -= factor * b);
                }
            }
        }
        Some(Factor { n, upper: gram })
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.upper[i * self.n..(i + 1) * self.n]
    }

    /// Replaces `x` by a point `q` of a grid with a small `(x − q)ᵀ·G·(x − q)`: from the last coordinate to the first,
    /// `q[i] = round(i, x[i] + Σ_{j>i} U[i][j]·(x[j] − q[j]) / U[i][i])`.
    pub fn nearest(&self, x: &mut [f64], round: impl Fn(usize, f64) -> f64) {
        let mut lost = vec![0.0; self.n];
        for i in (0..self.n).rev() {
            let row = self.row(i);
            let open = x[i] + dot(&row[i + 1..], &lost[i + 1..]) / row[i];
            let q = round(i, open);
            lost[i] = x[i] - q;
            x[i] = q;
        }
    }
}

/// `G·v` of a row-major matrix.
pub fn times(gram: &[f64], v: &[f64]) -> Vec<f64> {
    gram.chunks_exact(v.len().max(1)).map(|row| dot(row, v)).collect()
}

/// `vᵀ·G·v` of a row-major matrix.
pub fn quadratic(gram: &[f64], v: &[f64]) -> f64 {
    dot(&times(gram, v), v)
}

/// Inner product with eight partial sums in a fixed tree.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (wide_a, wide_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = wide_a.remainder().iter().zip(wide_b.remainder()).map(|(x, y)| x * y).sum::<f64>();
    for (x, y) in wide_a.zip(wide_b) {
        lanes.iter_mut().zip(x.iter().zip(y)).for_each(|(lane, (p, q))| *lane += p * q);
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7])) + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// `AᵀA` of a tall matrix, with a small diagonal added.
    fn gram(a: &[f64], n: usize) -> Vec<f64> {
        let mut g = vec![0.0; n * n];
        for row in a.chunks_exact(n) {
            for i in 0..n {
                (0..n).for_each(|j| g[i * n + j] += row[i] * row[j]);
            }
        }
        (0..n).for_each(|i| g[i * n + i] += 0.1);
        g
    }

    proptest! {
        #[test]
        fn the_factor_times_itself_is_the_matrix(n in 1usize..20, a in prop::collection::vec(-1f64..1.0, 800)) {
            let g = gram(&a[..n * 40], n);
            let factor = Factor::of(g.clone(), n).unwrap();
            for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let product: f64 = (0..n).map(|k| factor.row(k)[i] * factor.row(k)[j]).sum();
                prop_assert!((product - g[i * n + j]).abs() < 1e-9, "{} {}", product, g[i * n + j]);
            }
        }

        /// Against its proven bound, and against the best of all roundings up and down.
        #[test]
        fn nearest_lies_between_the_best_grid_point_and_a_bound(a in prop::collection::vec(-1f64..1.0, 36), x in prop::collection::vec(-3f64..3.0, 6)) {
            let n = 6;
            let g = gram(&a, n);
            let error = |q: &[f64]| quadratic(&g, &x.iter().zip(q).map(|(x, q)| x - q).collect::<Vec<_>>());
            let mut q = x.clone();
            let factor = Factor::of(g.clone(), n).unwrap();
            factor.nearest(&mut q, |_, v| v.round_ties_even());
            prop_assert!(q.iter().all(|v| *v == v.round()));
            let floors: Vec<f64> = x.iter().map(|v| v.floor()).collect();
            let best = (0..1 << n).map(|bits: u32| {
                let point: Vec<f64> = floors.iter().enumerate().map(|(i, f)| f + f64::from(bits >> i & 1)).collect();
                error(&point)
            }).fold(f64::INFINITY, f64::min);
            // Each step's loss is at most half a grid step along its own direction.
            let bound: f64 = (0..n).map(|i| (0.5 * factor.row(i)[i]).powi(2)).sum();
            prop_assert!(error(&q) <= bound + 1e-9, "{} is above {}", error(&q), bound);
            prop_assert!(best <= bound + 1e-9 || error(&q) <= best + 1e-9);
        }
    }

    #[test]
    fn a_matrix_without_full_rank_has_no_factor() {
        assert!(Factor::of(vec![1.0, 1.0, 1.0, 1.0], 2).is_none());
        assert!(Factor::of(vec![f64::NAN], 1).is_none());
        assert!(Factor::of(vec![1.0], 2).is_none());
    }
}

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

impl Factor {
    /// The `v` with `G·v = c`.
    pub fn solve(&self, c: &[f64]) -> Vec<f64> {
        let mut v = c.to_vec();
        for i in 0..self.n {
            let (done, open) = v.split_at_mut(i + 1);
            done[i] /= self.row(i)[i];
            open.iter_mut().zip(&self.row(i)[i + 1..]).for_each(|(o, u)| *o -= u * done[i]);
        }
        for i in (0..self.n).rev() {
            v[i] = (v[i] - dot(&self.row(i)[i + 1..], &v[i + 1..])) / self.row(i)[i];
        }
        v
    }
}

/// Lowers `vᵀ·G·v − 2·c·v` over points `v` of a grid: one coordinate after the other goes to the grid's nearest point to where the others
/// put its minimum, `round(i, v[i] + (c − G·v)[i] / G[i][i])`, from the first to the last, until a sweep moves nothing or `sweeps` are done.
/// `G` is row-major, symmetric, with a positive diagonal. The value never rises, but for rounding of doubles.
pub fn descend(gram: &[f64], c: &[f64], v: &mut [f64], sweeps: usize, round: impl Fn(usize, f64) -> f64) {
    let n = v.len();
    let mut rest: Vec<f64> = times(gram, v).iter().zip(c).map(|(g, c)| c - g).collect();
    for _ in 0..sweeps {
        let mut moved = false;
        for i in 0..n {
            let row = &gram[i * n..(i + 1) * n];
            let q = round(i, v[i] + rest[i] / row[i]);
            // Steps that are no more than noise of doubles would go on for ever.
            let step = q - v[i];
            let gain = step * (2.0 * rest[i] - step * row[i]);
            if gain > 1e-12 * (v[i] * v[i] + step * step) * row[i] {
                rest.iter_mut().zip(row).for_each(|(r, g)| *r -= step * g);
                v[i] = q;
                moved = true;
            }
        }
        if !moved {
            break;
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

    proptest! {
        #[test]
        fn solutions_solve(n in 1usize..20, a in prop::collection::vec(-1f64..1.0, 800), c in prop::collection::vec(-1f64..1.0, 20)) {
            let g = gram(&a[..n * 40], n);
            let v = Factor::of(g.clone(), n).unwrap().solve(&c[..n]);
            let worst = times(&g, &v).iter().zip(&c).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            prop_assert!(worst < 1e-9, "{}", worst);
        }

        /// No single step along a coordinate is left that lowers the value, and it never rises from sweep to sweep.
        #[test]
        fn descent_ends_where_no_coordinate_gains(a in prop::collection::vec(-1f64..1.0, 48), c in prop::collection::vec(-9f64..9.0, 6), from in prop::collection::vec(-3i8..4, 6)) {
            let n = 6;
            let g = gram(&a, n);
            let value = |v: &[f64]| quadratic(&g, v) - 2.0 * dot(&c, v);
            let mut v: Vec<f64> = from.iter().map(|&v| f64::from(v)).collect();
            let round = |_: usize, x: f64| x.round_ties_even().clamp(-5.0, 5.0);
            for _ in 0..200 {
                let before = value(&v);
                descend(&g, &c, &mut v, 1, round);
                prop_assert!(value(&v) <= before + 1e-9);
            }
            for (i, step) in (0..n).flat_map(|i| [(i, 1.0), (i, -1.0), (i, 2.0)]) {
                let mut other = v.clone();
                other[i] = (other[i] + step).clamp(-5.0, 5.0);
                prop_assert!(value(&other) >= value(&v) - 1e-9, "{} {}", value(&other), value(&v));
            }
        }
    }

    #[test]
    fn a_matrix_without_full_rank_has_no_factor() {
        assert!(Factor::of(vec![1.0, 1.0, 1.0, 1.0], 2).is_none());
        assert!(Factor::of(vec![f64::NAN], 1).is_none());
        assert!(Factor::of(vec![1.0], 2).is_none());
    }
}

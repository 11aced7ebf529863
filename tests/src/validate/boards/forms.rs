//! How long a frame occupies the board when several are under way: formulas of a few parameters, and how they are fitted.
//!
//! Fitting is a pattern search for the least mean relative error, from a few starting points, without chance: same rows,
//! same parameters.

use super::Row;
use crate::stats::mean_error;

/// A formula with parameters.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// In words.
    pub(super) what: &'static str,
    /// Where the search for parameters begins; all are positive.
    pub(super) start: &'static [f64],
    ms: fn(&[f64], &Row) -> f64,
}

/// Weights come beside all other work, of any frame; the array waits for its activations.
pub(super) const OURS: Form = Form {
    what: "weights beside array and activations, which take turns (ours)",
    start: &[5.0, 4.0, 15.0],
    ms: |p, r| (r.parts.weights / p[0]).max(r.parts.array / p[1] + r.parts.activations / p[2]),
};

/// What the published sizes alone explain.
pub(super) const ROOFLINE: Form = Form {
    what: "roofline of the published sizes: weights beside operations",
    start: &[5.0, 2.5],
    ms: |p, r| (r.mparams / p[0]).max(r.gflops / p[1]),
};

/// All that are compared.
pub(super) const FORMS: [Form; 6] = [
    ROOFLINE,
    Form {
        what: "latency of one frame, scaled, and a constant",
        start: &[1.0, 0.1],
        ms: |p, r| r.latency * p[0] + p[1],
    },
    Form {
        what: "all bytes beside array",
        start: &[8.0, 4.0],
        ms: |p, r| ((r.parts.weights + r.parts.activations) / p[0]).max(r.parts.array / p[1]),
    },
    Form {
        what: "weights, activations, array beside each other",
        start: &[5.0, 10.0, 3.0],
        ms: |p, r| (r.parts.weights / p[0]).max(r.parts.activations / p[1]).max(r.parts.array / p[2]),
    },
    OURS,
    Form {
        what: "… and all other units take turns too",
        start: &[5.0, 4.0, 15.0, 1.0],
        ms: |p, r| {
            let turns = r.parts.array / p[1] + r.parts.activations / p[2] + r.parts.others / p[3];
            (r.parts.weights / p[0]).max(turns)
        },
    },
];

impl Form {
    /// Milliseconds a frame.
    pub(super) fn ms(&self, at: &[f64], row: &Row) -> f64 {
        (self.ms)(at, row)
    }

    /// Mean error in percent.
    pub(super) fn error(&self, at: &[f64], rows: &[&Row]) -> f64 {
        mean_error(&rows.iter().map(|r| (self.ms(at, r), r.measured)).collect::<Vec<_>>())
    }

    /// The parameters with the least error on these rows.
    pub(super) fn fit(&self, rows: &[&Row]) -> Vec<f64> {
        let count = self.start.len() as u32;
        let starts = (0..3usize.pow(count)).map(|n| {
            let factor = |i: usize| [0.6, 1.0, 1.7][n / 3usize.pow(i as u32) % 3];
            self.start.iter().enumerate().map(|(i, p)| p * factor(i)).collect::<Vec<f64>>()
        });
        let found = starts.map(|at| self.descend(at, rows)).min_by(|a, b| a.0.total_cmp(&b.0));
        found.map_or_else(Vec::new, |(_, at)| at)
    }

    /// Changes parameters, alone and in pairs, by smaller and smaller factors, as long as that helps.
    fn descend(&self, mut at: Vec<f64>, rows: &[&Row]) -> (f64, Vec<f64>) {
        let mut best = self.error(&at, rows);
        let mut step: f64 = 1.3;
        while step > 1.002 {
            let mut helped = false;
            for (i, j) in (0..at.len()).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                for (a, b) in [(step, step), (step, 1.0 / step), (1.0 / step, step), (1.0 / step, 1.0 / step)] {
                    let mut tried = at.clone();
                    tried[i] *= a;
                    tried[j] *= if i == j { 1.0 } else { b };
                    let error = self.error(&tried, rows);
                    if error < best - 1e-9 {
                        (best, at, helped) = (error, tried, true);
                    }
                }
            }
            if !helped {
                step = step.sqrt();
            }
        }
        (best, at)
    }
}

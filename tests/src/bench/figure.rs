//! One figure: ours beside a peer's, as one line of JSON.

use serde::Serialize;

/// A comparison of two numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Figure<'a> {
    /// What was measured.
    pub(crate) name: &'a str,
    /// Our number.
    pub(crate) ours: f64,
    /// The number that it is compared with.
    pub(crate) peer: f64,
    /// How much better ours is: above 1 is better for times, the share of the peak for speeds.
    pub(crate) ratio: f64,
    /// Unit of both numbers.
    pub(crate) unit: &'a str,
}

impl Figure<'_> {
    /// A time, where less is better.
    pub(crate) fn time(name: &str, ours: f64, peer: f64) {
        let ms = |s: f64| (s * 1e6).round() / 1e3;
        Figure { name, ours: ms(ours), peer: ms(peer), ratio: round(peer / ours), unit: "ms" }.print();
    }

    /// Peak memory, where less is better.
    pub(crate) fn memory(name: &str, ours: f64, peer: f64) {
        Figure { name, ours: round(ours), peer: round(peer), ratio: round(peer / ours), unit: "MiB" }.print();
    }

    /// A speed beside a limit.
    pub(crate) fn share(name: &str, ours: f64, peak: f64) {
        Figure { name, ours: round(ours), peer: round(peak), ratio: round(ours / peak), unit: "GOP/s" }.print();
    }

    /// Cycles beside a lower bound, where less is better.
    pub(crate) fn cycles(name: &str, ours: f64, bound: f64) {
        Figure { name, ours: round(ours), peer: round(bound), ratio: round(bound / ours), unit: "Mcycles" }.print();
    }

    /// Something of which more is better.
    pub(crate) fn rate(name: &str, ours: f64, peer: f64, unit: &str) {
        Figure { name, ours: round(ours), peer: round(peer), ratio: round(ours / peer), unit }.print();
    }

    /// An amount beside its limit, where less is better.
    pub(crate) fn amount(name: &str, ours: f64, limit: f64, unit: &str) {
        Figure { name, ours: round(ours), peer: round(limit), ratio: round(limit / ours), unit }.print();
    }

    fn print(&self) {
        println!("{}", serde_json::to_string(self).expect("invariant: numbers and text are JSON"));
    }
}

/// Three digits behind the point.
fn round(x: f64) -> f64 {
    (x * 1e3).round() / 1e3
}

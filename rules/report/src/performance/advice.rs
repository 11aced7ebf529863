//! What limits a layer, and what makes it slower than its bound, in words.

use super::PerfRow;
use ptq_sim::timing::{Loss, Occupied};

/// Least part of a layer's time, in percent, that advice is given for.
const LEAST_PERCENT: f64 = 5.0;
/// Most pieces of advice for one layer.
const MOST: usize = 3;

/// One cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The cause in words, such as `channels 3 -> 4 padded`.
    pub what: String,
    /// Microseconds that vanish with it.
    pub us: f64,
    /// The same in percent of the layer's time.
    pub percent: f64,
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:.0}% of this layer's time", self.what, self.percent)
    }
}

/// The unit that a layer occupies longest; `latency` where all of them wait for most of its part of the run.
pub(super) fn limit(row: &PerfRow) -> &'static str {
    let own = row.own_us();
    if own <= 0.0 {
        return "nothing";
    }
    if row.time_us > 2.0 * own {
        return "latency";
    }
    match (row.compute_us >= row.load_us + row.store_us, row.load_us >= row.store_us) {
        (true, _) => "compute",
        (false, true) => "load",
        (false, false) => "store",
    }
}

/// Causes that count: those of what limits the layer.
pub(super) fn of(row: &PerfRow, losses: &[Loss], clock_mhz: f64) -> Vec<Advice> {
    let counts = |l: &&Loss| match l.of {
        Occupied::Compute => row.compute_us >= row.load_us + row.store_us,
        Occupied::Ddr => row.load_us + row.store_us > row.compute_us,
        Occupied::Issue => row.limit == "latency",
    };
    let whole = if row.limit == "latency" { row.time_us } else { row.own_us() };
    let advice = |l: &Loss| {
        let us = l.cycles / clock_mhz;
        Advice { what: l.what.clone(), us, percent: (us / whole.max(f64::MIN_POSITIVE) * 100.0).min(100.0) }
    };
    losses.iter().filter(counts).map(advice).filter(|a| a.percent >= LEAST_PERCENT).take(MOST).collect()
}

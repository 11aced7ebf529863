//! What no program can beat: the roofline.

use crate::Transfer;
use ptq_march::Hardware;
use std::ops::Range;

/// Lower bounds of the time of a piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Cycles of the matrix unit if each of its multipliers worked in every cycle.
    pub compute: u64,
    /// Cycles of the connection to DDR if each needed byte moved once, without latency or bursts.
    pub ddr: u64,
    /// Bytes that have to move: constants and inputs that are read, outputs that are written.
    pub ddr_bytes: u64,
}

impl Bound {
    pub(super) fn new(ideal_mac: f64, ddr_bytes: u64, hardware: &Hardware) -> Bound {
        let ddr = ddr_bytes as f64 / hardware.ddr_bytes_per_cycle;
        Bound { compute: ideal_mac as u64, ddr: ddr as u64, ddr_bytes }
    }

    /// The larger of both.
    pub fn cycles(&self) -> u64 {
        self.compute.max(self.ddr)
    }
}

/// A set of bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes(Vec<Range<u64>>);

impl Bytes {
    pub(super) fn add(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.start <= range.start && range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.0.push(range),
        }
    }

    /// Adds what a transfer touches in DDR.
    pub(super) fn add_runs(&mut self, t: &Transfer) {
        let base = u64::from(t.ddr.0);
        t.runs().for_each(|(ddr, _)| self.add(base + ddr..base + ddr + u64::from(t.bytes)));
    }

    pub(super) fn touches(&self, range: Range<u64>) -> bool {
        self.0.iter().any(|r| r.start < range.end && range.start < r.end)
    }

    /// Bytes in the set, each counted once.
    pub(super) fn total(&self) -> u64 {
        let mut ranges: Vec<&Range<u64>> = self.0.iter().collect();
        ranges.sort_unstable_by_key(|r| r.start);
        let mut end = 0;
        let mut total = 0;
        for r in ranges {
            total += r.end.saturating_sub(r.start.max(end));
            end = end.max(r.end);
        }
        total
    }
}

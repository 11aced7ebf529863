//! What happens in each millisecond of a run on the accelerator.

use super::Performance;
use ptq_sim::Queue;

/// Length of an interval, as the vendor's tool has it.
pub(super) const INTERVAL_US: f64 = 1000.0;

/// Most intervals that are told; a longer run has longer ones.
const MOST: usize = 10_000;

/// One interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bin {
    /// Its length in microseconds: the last one's is shorter.
    pub(super) us: f64,
    /// Share in which a computing unit is busy.
    pub(super) busy: f64,
    /// Bytes loaded.
    pub(super) loaded: f64,
    /// Bytes stored.
    pub(super) stored: f64,
}

/// All intervals, and the length of one in microseconds. CPU nodes take no time here.
pub(super) fn bins(p: &Performance) -> (Vec<Bin>, f64) {
    let total = p.latency_us();
    let length = INTERVAL_US.max(total / MOST as f64);
    let mut out = vec![Bin::default(); (total / length).ceil().max(1.0) as usize];
    let mut spread = |from: f64, to: f64, add: &mut dyn FnMut(&mut Bin, f64)| {
        let count = out.len();
        let (first, last) = ((from / length) as usize, (to / length) as usize);
        for (i, bin) in out.iter_mut().enumerate().take(last.min(count - 1) + 1).skip(first.min(count - 1)) {
            let start = i as f64 * length;
            let part = to.min(start + length) - from.max(start);
            add(bin, part.max(0.0));
        }
    };
    let mut before = 0.0;
    for call in &p.calls {
        let mut computing: Vec<(f64, f64)> = Vec::new();
        for span in &call.timing.spans {
            let (from, to) = (before + p.us(span.start), before + p.us(span.start + span.busy));
            match span.queue {
                Some(Queue::Mac | Queue::Vector) => computing.push((from, to)),
                Some(queue) => {
                    let rate = p.hardware.ddr_bytes_per_cycle * f64::from(p.hardware.clock_mhz);
                    spread(from, to, &mut |bin, part| {
                        let bytes = if queue == Queue::Load { &mut bin.loaded } else { &mut bin.stored };
                        *bytes += part * rate;
                    });
                }
                None => {}
            }
        }
        for (from, to) in union(computing) {
            spread(from, to, &mut |bin, part| bin.busy += part);
        }
        before += p.us(call.timing.cycles);
    }
    // The last interval ends with the run.
    for (i, bin) in out.iter_mut().enumerate() {
        bin.us = length.min((total - i as f64 * length).max(0.0));
        bin.busy = super::ratio(bin.busy, bin.us);
    }
    // Whole bursts occupied the connection; the bytes that moved are what counts.
    let (loaded, stored): (f64, f64) = out.iter().fold((0.0, 0.0), |(l, s), b| (l + b.loaded, s + b.stored));
    for bin in &mut out {
        bin.loaded *= super::ratio(p.loaded_bytes() as f64, loaded);
        bin.stored *= super::ratio(p.stored_bytes() as f64, stored);
    }
    (out, length)
}

/// Intervals without overlap.
fn union(mut all: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out: Vec<(f64, f64)> = Vec::new();
    for (from, to) in all {
        match out.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

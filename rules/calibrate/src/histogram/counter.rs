//! Counting: the elements of many tensors into one histogram. Counts have 32 bits while they last, so that those in use stay near.

use super::{BINS, Histogram, PLACES};
use ptq_kernels::{Isa, Places};

/// Elements whose places are found before they are counted: the first is a loop of vector instructions.
const CHUNK: usize = 1024;

/// A histogram that is being made.
#[derive(Clone, Debug)]
pub struct Counter {
    isa: Isa,
    /// Counts of each sign as a histogram has them, then [`Places::LANES`] of elements without a bin.
    counts: Vec<u32>,
    /// Elements that surely fit into every count.
    room: usize,
    /// What is not in `counts`.
    histogram: Histogram,
}

impl Default for Counter {
    fn default() -> Counter {
        Counter {
            isa: Isa::best(),
            counts: vec![0; 2 * BINS + Places::LANES],
            room: u32::MAX as usize,
            histogram: Histogram::default(),
        }
    }
}

impl Counter {
    /// Counts every element of a tensor.
    pub fn observe(&mut self, values: &[f32]) {
        let mut places = [0u32; CHUNK];
        for chunk in values.chunks(CHUNK) {
            if chunk.len() > self.room {
                self.settle();
            }
            self.room -= chunk.len();
            let Some(found) = PLACES.find(self.isa, chunk, &mut places) else {
                self.observe_special(chunk);
                continue;
            };
            let h = &mut self.histogram;
            h.min = if found.min < h.min { found.min } else { h.min };
            h.max = if found.max > h.max { found.max } else { h.max };
            for &place in &places[..chunk.len()] {
                self.counts[place as usize] += 1;
            }
        }
    }

    /// [`Counter::observe`] where some elements are not finite.
    fn observe_special(&mut self, values: &[f32]) {
        let h = &mut self.histogram;
        for (i, &v) in values.iter().enumerate() {
            if v.is_nan() {
                h.nans += 1;
            } else if v.is_infinite() {
                h.infinities += 1;
            } else {
                h.min = if v < h.min { v } else { h.min };
                h.max = if v > h.max { v } else { h.max };
                self.counts[PLACES.of(v.to_bits(), i) as usize] += 1;
            }
        }
    }

    /// Moves the counts into the histogram.
    fn settle(&mut self) {
        let (bins, lanes) = self.counts.split_at_mut(2 * BINS);
        for (sum, count) in self.histogram.counts.iter_mut().zip(bins) {
            *sum += u64::from(std::mem::take(count));
        }
        self.histogram.zeros += lanes.iter_mut().map(|lane| u64::from(std::mem::take(lane))).sum::<u64>();
        self.room = u32::MAX as usize;
    }

    /// The histogram of all that was counted.
    pub fn finish(mut self) -> Histogram {
        self.settle();
        // A zero has no sign here: which of two came first must not be seen.
        self.histogram.min += 0.0;
        self.histogram.max += 0.0;
        self.histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_full_are_moved_and_nothing_is_lost() {
        let values: Vec<f32> = (0..3000).map(|i| (i % 7) as f32 - 2.0).collect();
        let (mut whole, mut narrow) = (Counter::default(), Counter::default());
        for _ in 0..5 {
            whole.observe(&values);
            narrow.room = 1500;
            narrow.observe(&values);
        }
        let (whole, narrow) = (whole.finish(), narrow.finish());
        assert_eq!(whole.count(), 15_000);
        assert_eq!(whole, narrow);
    }
}

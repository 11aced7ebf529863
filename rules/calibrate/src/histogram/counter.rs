//! Counting: the elements of many tensors into one histogram. Counts have 32 bits while they last, so that those in use stay near.

use super::{BINS, Histogram, PLACES};
use ptq_kernels::{Isa, Places, Run};

/// Elements whose places are found before they are counted: the first is a loop of vector instructions.
const CHUNK: usize = 1024;

/// A histogram that is being made.
#[derive(Clone, Debug)]
pub struct Counter {
    isa: Isa,
    /// Counts of each sign as a histogram has them; the last is that of elements without a bin.
    counts: Vec<u32>,
    /// Elements that surely fit into every count.
    room: usize,
    /// Counts that were full; `counts` is empty until some are.
    histogram: Histogram,
}

impl Default for Counter {
    fn default() -> Counter {
        // As many as there are places, so that none has to be checked.
        Counter {
            isa: Isa::best(),
            counts: vec![0; usize::from(u16::MAX) + 1],
            room: u32::MAX as usize,
            histogram: Histogram::empty(),
        }
    }
}

impl Counter {
    /// Counts every element of a tensor.
    pub fn observe(&mut self, values: &[f32]) {
        let mut runs = [Run::default(); CHUNK + Places::SPARE];
        for chunk in values.chunks(CHUNK) {
            if chunk.len() > self.room {
                self.settle();
            }
            self.room -= chunk.len();
            let Some(found) = PLACES.find(self.isa, chunk, &mut runs) else {
                self.observe_special(chunk);
                continue;
            };
            let h = &mut self.histogram;
            h.min = if found.min < h.min { found.min } else { h.min };
            h.max = if found.max > h.max { found.max } else { h.max };
            // Neighbours are often alike: added one by one, each count would wait for the one before.
            if let Some(counts) = self.counts.first_chunk_mut::<{ 1 << 16 }>() {
                for pair in runs[..=found.runs].windows(2) {
                    counts[usize::from(pair[0].place())] += pair[1].start() - pair[0].start();
                }
            }
        }
    }

    /// [`Counter::observe`] where some elements are not finite.
    fn observe_special(&mut self, values: &[f32]) {
        let h = &mut self.histogram;
        for &v in values {
            if v.is_nan() {
                h.nans += 1;
            } else if v.is_infinite() {
                h.infinities += 1;
            } else {
                h.min = if v < h.min { v } else { h.min };
                h.max = if v > h.max { v } else { h.max };
                self.counts[usize::from(PLACES.of(v.to_bits()))] += 1;
            }
        }
    }

    /// Moves the counts into the histogram.
    fn settle(&mut self) {
        self.histogram.zeros += u64::from(std::mem::take(&mut self.counts[usize::from(Places::NONE)]));
        let counts = self.counts[..2 * BINS].iter_mut().map(|c| u64::from(std::mem::take(c)));
        if self.histogram.counts.is_empty() {
            self.histogram.counts = counts.collect();
        } else {
            self.histogram.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
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

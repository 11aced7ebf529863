//! Mergeable histograms of real numbers.
//!
//! A bin is fixed by a number's own sign, exponent and top nine mantissa bits, so no range has to be known first, counts
//! are exact integers, and merging is addition: any split of the samples, in any order, gives equal histograms.

mod counter;

pub use counter::Counter;

use ptq_kernels::Places;
use serde::{Deserialize, Serialize};

/// Bins for each power of two: nine mantissa bits, a relative width between 1/1024 and 1/512.
pub const BINS_PER_OCTAVE: usize = 512;
/// Exponent of the smallest magnitude with a bin of its own; smaller ones count as zero.
const LOWEST_EXPONENT: i32 = -24;
/// Powers of two covered; larger magnitudes fall into the last bin (minimum and maximum stay exact).
const OCTAVES: usize = 48;
const BINS: usize = OCTAVES * BINS_PER_OCTAVE;
/// `bits >> SHIFT` of the magnitude is exponent and top mantissa bits.
const SHIFT: u32 = 14;
const FIRST_KEY: u32 = ((127 + LOWEST_EXPONENT) as u32) << (23 - SHIFT);

/// Where elements are counted.
const PLACES: Places = Places::new(SHIFT, FIRST_KEY, BINS as u32);

/// Counts of a tensor's elements by magnitude and sign, with exact extremes.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// [`BINS`] of positive elements, then as many of negative ones.
    counts: Vec<u64>,
    /// Elements that are zero or too small for a bin.
    pub zeros: u64,
    /// Elements that are not a number.
    pub nans: u64,
    /// Infinite elements.
    pub infinities: u64,
    /// Smallest finite element; `f32::INFINITY` when there is none.
    pub min: f32,
    /// Largest finite element; `f32::NEG_INFINITY` when there is none.
    pub max: f32,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; 2 * BINS], ..Histogram::empty() }
    }
}

impl Histogram {
    /// Of nothing, and without bins.
    const fn empty() -> Histogram {
        let (min, max) = (f32::INFINITY, f32::NEG_INFINITY);
        Histogram { counts: Vec::new(), zeros: 0, nans: 0, infinities: 0, min, max }
    }

    /// Counts every element of a tensor. For many tensors a [`Counter`] is faster.
    pub fn observe(&mut self, values: &[f32]) {
        let mut counter = Counter::default();
        counter.observe(values);
        self.merge(&counter.finish());
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.zeros += other.zeros;
        self.nans += other.nans;
        self.infinities += other.infinities;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Finite elements seen.
    pub fn count(&self) -> u64 {
        self.zeros + self.counts.iter().sum::<u64>()
    }

    /// Largest finite magnitude; 0 when nothing was seen.
    pub fn abs_max(&self) -> f32 {
        if self.min > self.max { 0.0 } else { self.max.max(-self.min).max(0.0) }
    }

    /// Counts of positive elements, bin 0 first.
    pub fn positive(&self) -> &[u64] {
        &self.counts[..BINS]
    }

    /// Counts of negative elements by magnitude, bin 0 first.
    pub fn negative(&self) -> &[u64] {
        &self.counts[BINS..2 * BINS]
    }

    /// Counts of both signs by magnitude, bin 0 first.
    pub fn magnitudes(&self) -> Vec<u64> {
        self.positive().iter().zip(self.negative()).map(|(p, n)| p + n).collect()
    }

    /// Lower edge of a bin; the upper edge is the lower edge of the next.
    pub fn lower_edge(bin: usize) -> f64 {
        let octave = (bin / BINS_PER_OCTAVE) as i32 + LOWEST_EXPONENT;
        let fraction = (bin % BINS_PER_OCTAVE) as f64 / BINS_PER_OCTAVE as f64;
        (1.0 + fraction) * 2f64.powi(octave)
    }

    /// The bin that holds a magnitude; `None` below the first bin.
    pub fn bin_of(magnitude: f64) -> Option<usize> {
        let key = (magnitude as f32).to_bits() >> SHIFT;
        key.checked_sub(FIRST_KEY).map(|b| (b as usize).min(BINS - 1))
    }
}

/// Sparse form for storing: non-empty bins only.
#[derive(Serialize, Deserialize)]
struct Sparse {
    positive: Vec<(u32, u64)>,
    negative: Vec<(u32, u64)>,
    zeros: u64,
    nans: u64,
    infinities: u64,
    min: f32,
    max: f32,
}

impl Serialize for Histogram {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let sparse =
            |v: &[u64]| v.iter().enumerate().filter(|(_, c)| **c > 0).map(|(i, &c)| (i as u32, c)).collect::<Vec<_>>();
        Sparse {
            positive: sparse(self.positive()),
            negative: sparse(self.negative()),
            zeros: self.zeros,
            nans: self.nans,
            infinities: self.infinities,
            min: self.min,
            max: self.max,
        }
        .serialize(s)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Histogram, D::Error> {
        let sparse = Sparse::deserialize(d)?;
        let mut counts = vec![0u64; 2 * BINS];
        for (from, list) in [(0, &sparse.positive), (BINS, &sparse.negative)] {
            for &(i, c) in list {
                let bin = counts[from..from + BINS].get_mut(i as usize);
                *bin.ok_or_else(|| serde::de::Error::custom("histogram bin out of range"))? = c;
            }
        }
        Ok(Histogram {
            counts,
            zeros: sparse.zeros,
            nans: sparse.nans,
            infinities: sparse.infinities,
            min: sparse.min,
            max: sparse.max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_bin_holds_its_own_lower_edge() {
        for bin in 0..BINS {
            assert_eq!(Histogram::bin_of(Histogram::lower_edge(bin)), Some(bin));
        }
    }

    #[test]
    fn special_values_are_counted_apart() {
        let mut h = Histogram::default();
        h.observe(&[0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-30, -3.0, 2.5]);
        assert_eq!((h.zeros, h.nans, h.infinities), (3, 1, 2));
        assert_eq!((h.min, h.max, h.count()), (-3.0, 2.5, 5));
    }

    /// Element by element, as the definition says.
    fn slow(values: &[f32]) -> Histogram {
        let mut h = Histogram::default();
        for &v in values {
            match v {
                v if v.is_nan() => h.nans += 1,
                v if v.is_infinite() => h.infinities += 1,
                v => {
                    (h.min, h.max) = (h.min.min(v), h.max.max(v));
                    match Histogram::bin_of(f64::from(v.abs())) {
                        None => h.zeros += 1,
                        Some(bin) => h.counts[bin + if v < 0.0 { BINS } else { 0 }] += 1,
                    }
                }
            }
        }
        h
    }

    proptest! {
        #[test]
        fn counting_in_chunks_is_counting_one_by_one(
            values in proptest::collection::vec(proptest::num::f32::ANY, 0..2500),
            plain in proptest::collection::vec(-3f32..3.0, 0..2500),
        ) {
            for values in [values, plain.into_iter().map(|v| v.clamp(-1.0, 2.0)).collect()] {
                let mut fast = Histogram::default();
                fast.observe(&values);
                prop_assert_eq!(fast, slow(&values));
            }
        }

        #[test]
        fn merging_any_split_equals_observing_everything(values in proptest::collection::vec(-1e3f32..1e3, 0..300), at in 0usize..300) {
            let at = at.min(values.len());
            let mut whole = Histogram::default();
            whole.observe(&values);
            let (mut a, mut b) = (Histogram::default(), Histogram::default());
            a.observe(&values[at..]);
            b.observe(&values[..at]);
            a.merge(&b);
            prop_assert_eq!(&a, &whole);
            let bytes = ptq_ir::to_bytes(&whole).expect("encodes");
            prop_assert_eq!(ptq_ir::from_bytes::<Histogram>(&bytes).expect("decodes"), whole);
        }
    }
}

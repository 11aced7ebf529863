//! Where numbers belong in a table of bins that is fixed by their own bits. Called by the histograms of calibrate.

use crate::Isa;
use crate::vectorized::vectorized;

/// Bits of a float32 without its sign, and those of infinity.
const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITE: u32 = 0x7f80_0000;
/// Elements that are looked at together.
const WIDTH: usize = 16;

/// A table: `bins` places of positive numbers by magnitude, as many of negative ones, then [`Places::LANES`] for those that
/// are too small for a bin.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// `bits >> shift` of a magnitude is its key.
    pub shift: u32,
    /// Key of the first bin.
    pub first: u32,
    /// Bins of one sign; larger magnitudes belong in the last.
    pub bins: u32,
}

/// Smallest and largest of some finite numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extremes {
    /// Smallest; infinity of none.
    pub min: f32,
    /// Largest; negative infinity of none.
    pub max: f32,
}

impl Places {
    /// Places that take turns for numbers without a bin: behind a Relu half of all are zeros, and one count would wait for the other.
    pub const LANES: usize = 4;

    /// The place of the `i`-th number, which is finite.
    #[inline(always)]
    pub fn of(self, bits: u32, i: usize) -> u32 {
        let key = (bits & MAGNITUDE) >> self.shift;
        let bin = key.wrapping_sub(self.first).min(self.bins - 1);
        let small = 2 * self.bins + (i % Places::LANES) as u32;
        if key < self.first { small } else { bin + (bits >> 31) * self.bins }
    }

    /// The place of each number, at its index in `places`, and the extremes; `None`, with any places, where one of the numbers is
    /// infinite or none at all.
    ///
    /// # Panics
    /// When `places` is shorter than `values`.
    pub fn find(self, isa: Isa, values: &[f32], places: &mut [u32]) -> Option<Extremes> {
        assert!(places.len() >= values.len(), "too few places");
        vectorized(isa, || self.each(values, places))
    }

    #[inline(always)]
    fn each(self, values: &[f32], places: &mut [u32]) -> Option<Extremes> {
        // Running results side by side, so that the loop needs no one before the other.
        let (mut min, mut max) = ([f32::INFINITY; WIDTH], [f32::NEG_INFINITY; WIDTH]);
        let mut largest = [0u32; WIDTH];
        let (wide, rest) = values.as_chunks::<WIDTH>();
        let (wide_places, rest_places) = places[..values.len()].as_chunks_mut::<WIDTH>();
        for (values, places) in wide.iter().zip(wide_places) {
            for i in 0..WIDTH {
                let v = values[i];
                min[i] = if v < min[i] { v } else { min[i] };
                max[i] = if v > max[i] { v } else { max[i] };
                largest[i] = largest[i].max(v.to_bits() & MAGNITUDE);
                places[i] = self.of(v.to_bits(), i);
            }
        }
        for (i, (&v, place)) in rest.iter().zip(rest_places).enumerate() {
            min[i] = if v < min[i] { v } else { min[i] };
            max[i] = if v > max[i] { v } else { max[i] };
            largest[i] = largest[i].max(v.to_bits() & MAGNITUDE);
            *place = self.of(v.to_bits(), i);
        }
        let least = |a: f32, b: &f32| if *b < a { *b } else { a };
        let most = |a: f32, b: &f32| if *b > a { *b } else { a };
        let found =
            Extremes { min: min.iter().fold(f32::INFINITY, least), max: max.iter().fold(f32::NEG_INFINITY, most) };
        largest.iter().all(|l| *l < INFINITE).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACES: Places = Places { shift: 14, first: 103 << 9, bins: 48 * 512 };

    proptest! {
        #[test]
        fn every_instruction_set_finds_the_same_places(
            bits in prop::collection::vec(any::<u32>(), 0..100),
            finite in any::<bool>(),
        ) {
            let clean = |b: &u32| if finite && b & INFINITE == INFINITE { b & !INFINITE } else { *b };
            let values: Vec<f32> = bits.iter().map(|b| f32::from_bits(clean(b))).collect();
            let special = values.iter().any(|v| !v.is_finite());
            for isa in Isa::all() {
                let mut places = vec![0; values.len()];
                let found = PLACES.find(isa, &values, &mut places);
                prop_assert_eq!(found.is_none(), special);
                let Some(found) = found else { continue };
                prop_assert_eq!(found.min, values.iter().copied().fold(f32::INFINITY, f32::min));
                prop_assert_eq!(found.max, values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                for (i, (v, place)) in values.iter().zip(&places).enumerate() {
                    prop_assert_eq!(*place, PLACES.of(v.to_bits(), i % WIDTH));
                }
            }
        }
    }
}

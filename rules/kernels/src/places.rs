//! Where numbers belong in a table of bins that is fixed by their own bits. Called by the histograms of calibrate.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::Isa;

/// Bits of a float32 without its sign, and those of infinity.
const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITE: u32 = 0x7f80_0000;

/// A table: `bins` places of positive numbers by magnitude, then as many of negative ones. Numbers that are too small for a bin
/// have no place.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    shift: u32,
    first: u32,
    bins: u32,
}

/// What [`Places::find`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Smallest; infinity of none.
    pub min: f32,
    /// Largest; negative infinity of none.
    pub max: f32,
    /// Numbers that have a place.
    pub count: usize,
}

impl Places {
    /// What the list of places must be longer than the list of numbers: whole vectors are written.
    pub const SPARE: usize = 16;

    /// A table whose bins begin with the key `first`, where `bits >> shift` of a magnitude is its key. Keys behind the last bin
    /// belong in it.
    ///
    /// # Panics
    /// When a place would not fit 16 bits, or `first` is 0: zero has no place.
    pub const fn new(shift: u32, first: u32, bins: u32) -> Places {
        assert!(bins > 0 && bins <= 1 << 15 && first > 0 && shift < 32, "not a table");
        Places { shift, first, bins }
    }

    /// The place of a finite number with these bits.
    #[inline(always)]
    pub fn of(self, bits: u32) -> Option<u16> {
        let key = (bits & MAGNITUDE) >> self.shift;
        let bin = key.wrapping_sub(self.first).min(self.bins - 1);
        (key >= self.first).then_some((bin + (bits >> 31) * self.bins) as u16)
    }

    /// The places of those that have one, in order, and the extremes of all; `None`, with any places, where one of the numbers is
    /// infinite or none at all.
    ///
    /// # Panics
    /// When `places` is not longer than `values` by [`Places::SPARE`].
    pub fn find(self, isa: Isa, values: &[f32], places: &mut [u16]) -> Option<Found> {
        assert!(places.len() >= values.len() + Places::SPARE, "too few places");
        #[cfg(target_arch = "x86_64")]
        if let Some(found) = x86::find(self, isa, values, places) {
            return found;
        }
        let _ = isa;
        let mut search = Search::new();
        search.each(self, values, places);
        search.found()
    }
}

/// A search under way, number by number.
struct Search {
    min: f32,
    max: f32,
    /// Largest magnitude's bits.
    largest: u32,
    count: usize,
}

impl Search {
    fn new() -> Search {
        Search { min: f32::INFINITY, max: f32::NEG_INFINITY, largest: 0, count: 0 }
    }

    #[inline(always)]
    fn each(&mut self, table: Places, values: &[f32], places: &mut [u16]) {
        for &v in values {
            self.min = if v < self.min { v } else { self.min };
            self.max = if v > self.max { v } else { self.max };
            self.largest = self.largest.max(v.to_bits() & MAGNITUDE);
            let place = table.of(v.to_bits());
            places[self.count] = place.unwrap_or_default();
            self.count += usize::from(place.is_some());
        }
    }

    fn found(self) -> Option<Found> {
        (self.largest < INFINITE).then_some(Found { min: self.min, max: self.max, count: self.count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: Places = Places::new(14, 103 << 9, 48 * 512);

    proptest! {
        #[test]
        fn every_instruction_set_finds_the_same_places(
            bits in prop::collection::vec(prop_oneof![any::<u32>(), Just(0), Just(1 << 31), 0x3c00_0000u32..0x4100_0000], 0..100),
            finite in any::<bool>(),
        ) {
            let clean = |b: &u32| if finite && b & INFINITE == INFINITE { b & !INFINITE } else { *b };
            let values: Vec<f32> = bits.iter().map(|b| f32::from_bits(clean(b))).collect();
            let special = values.iter().any(|v| !v.is_finite());
            let expect: Vec<u16> = values.iter().filter_map(|v| TABLE.of(v.to_bits())).collect();
            for isa in Isa::all() {
                let mut places = vec![0; values.len() + Places::SPARE];
                let found = TABLE.find(isa, &values, &mut places);
                prop_assert_eq!(found.is_none(), special);
                let Some(found) = found else { continue };
                prop_assert_eq!(found.min, values.iter().copied().fold(f32::INFINITY, f32::min));
                prop_assert_eq!(found.max, values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                prop_assert_eq!(&places[..found.count], &expect[..]);
            }
        }
    }

    #[test]
    fn a_place_is_that_of_magnitude_and_sign() {
        let place = |v: f32| TABLE.of(v.to_bits());
        assert_eq!((place(0.0), place(-0.0), place(1e-30)), (None, None, None));
        assert_eq!((place(1.0), place(-1.0)), (Some(24 * 512), Some((48 + 24) * 512)));
        assert_eq!((place(f32::MAX), place(f32::MIN)), (Some(48 * 512 - 1), Some(2 * 48 * 512 - 1)));
    }
}

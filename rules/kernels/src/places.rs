//! Where numbers belong in a table of bins that is fixed by their own bits. Called by the histograms of calibrate.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::Isa;

/// Bits of a float32 without its sign, and those of infinity.
const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITE: u32 = 0x7f80_0000;

/// A table: `bins` places of positive numbers by magnitude, then as many of negative ones. All numbers that are too small for a bin
/// share one place behind, [`Places::NONE`].
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
    /// Runs of numbers in a row that have one place.
    pub runs: usize,
}

/// Numbers in a row that have one place: the place, and where the run begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Run(u32);

impl Run {
    /// The place.
    #[inline(always)]
    pub fn place(self) -> u16 {
        self.0 as u16
    }

    /// Index of the first number.
    #[inline(always)]
    pub fn start(self) -> u32 {
        self.0 >> 16
    }

    #[inline(always)]
    fn new(place: u16, start: usize) -> Run {
        Run(u32::from(place) | (start as u32) << 16)
    }
}

impl Places {
    /// What the list of runs must be longer than the list of numbers: whole vectors are written.
    pub const SPARE: usize = 16;
    /// The place of numbers without a bin.
    pub const NONE: u16 = u16::MAX;
    /// Most numbers that are looked at at once.
    pub const MOST: usize = u16::MAX as usize;

    /// A table whose bins begin with the key `first`, where `bits >> shift` of a magnitude is its key. Keys behind the last bin
    /// belong in it.
    ///
    /// # Panics
    /// When a place would not fit 16 bits, or `first` is 0: zero has no bin.
    pub const fn new(shift: u32, first: u32, bins: u32) -> Places {
        assert!(bins > 0 && bins < 1 << 15 && first > 0 && shift < 32, "not a table");
        Places { shift, first, bins }
    }

    /// The place of a finite number with these bits.
    #[inline(always)]
    pub fn of(self, bits: u32) -> u16 {
        let key = (bits & MAGNITUDE) >> self.shift;
        let bin = key.wrapping_sub(self.first).min(self.bins - 1);
        if key < self.first { Places::NONE } else { (bin + (bits >> 31) * self.bins) as u16 }
    }

    /// The places of these numbers as runs, in order, and one more that begins behind the last number; and the extremes. `None`, with any
    /// runs, where one of the numbers is infinite or none at all.
    ///
    /// # Panics
    /// When there are more than [`Places::MOST`] numbers, or `runs` is not longer than they are by [`Places::SPARE`].
    pub fn find(self, isa: Isa, values: &[f32], runs: &mut [Run]) -> Option<Found> {
        assert!(values.len() <= Places::MOST && runs.len() >= values.len() + Places::SPARE, "too few runs");
        let mut search = Search::new();
        let rest = match () {
            #[cfg(target_arch = "x86_64")]
            () if isa.avx2() => search.x86(self, isa, values, runs),
            () => values,
        };
        let _ = isa;
        search.each(self, values.len() - rest.len(), rest, runs);
        runs[search.runs] = Run::new(Places::NONE, values.len());
        let Search { min, max, largest, runs, .. } = search;
        (largest < INFINITE).then_some(Found { min, max, runs })
    }
}

/// A search under way.
struct Search {
    min: f32,
    max: f32,
    /// Largest magnitude's bits.
    largest: u32,
    runs: usize,
    /// Place of the number before; of the first one, none that there is.
    before: u32,
}

impl Search {
    fn new() -> Search {
        Search { min: f32::INFINITY, max: f32::NEG_INFINITY, largest: 0, runs: 0, before: u32::MAX }
    }

    /// Number by number; the first is that of index `at`.
    fn each(&mut self, table: Places, at: usize, values: &[f32], runs: &mut [Run]) {
        for (i, &v) in values.iter().enumerate() {
            self.min = if v < self.min { v } else { self.min };
            self.max = if v > self.max { v } else { self.max };
            self.largest = self.largest.max(v.to_bits() & MAGNITUDE);
            let place = table.of(v.to_bits());
            runs[self.runs] = Run::new(place, at + i);
            self.runs += usize::from(u32::from(place) != self.before);
            self.before = place.into();
        }
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
            bits in prop::collection::vec(prop_oneof![any::<u32>(), Just(0), Just(1 << 31), 0x3f80_0000u32..0x3f80_9000], 0..100),
            finite in any::<bool>(),
        ) {
            let clean = |b: &u32| if finite && b & INFINITE == INFINITE { b & !INFINITE } else { *b };
            let values: Vec<f32> = bits.iter().map(|b| f32::from_bits(clean(b))).collect();
            let special = values.iter().any(|v| !v.is_finite());
            for isa in Isa::all() {
                let mut runs = vec![Run::default(); values.len() + Places::SPARE];
                let found = TABLE.find(isa, &values, &mut runs);
                prop_assert_eq!(found.is_none(), special);
                let Some(found) = found else { continue };
                prop_assert_eq!(found.min, values.iter().copied().fold(f32::INFINITY, f32::min));
                prop_assert_eq!(found.max, values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                let mut each = Vec::new();
                for pair in runs[..=found.runs].windows(2) {
                    prop_assert!(each.last() != Some(&pair[0].place()), "two runs of one place");
                    prop_assert!(pair[0].start() < pair[1].start());
                    each.resize(pair[1].start() as usize, pair[0].place());
                }
                let expect: Vec<u16> = values.iter().map(|v| TABLE.of(v.to_bits())).collect();
                prop_assert_eq!(each, expect);
            }
        }
    }

    #[test]
    fn a_place_is_that_of_magnitude_and_sign() {
        let place = |v: f32| TABLE.of(v.to_bits());
        assert_eq!((place(0.0), place(-0.0), place(1e-30)), (Places::NONE, Places::NONE, Places::NONE));
        assert_eq!((place(1.0), place(-1.0)), (24 * 512, (48 + 24) * 512));
        assert_eq!((place(f32::MAX), place(f32::MIN)), (48 * 512 - 1, 2 * 48 * 512 - 1));
    }
}

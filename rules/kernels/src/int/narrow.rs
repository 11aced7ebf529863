//! From a real number to a byte in plain operations that every compiler turns into vector code.

/// Adding it to a number of less than 2^22 in magnitude rounds to a whole number, ties to even, which is then in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `clamp(round_half_even(v) + zero, lo, hi)` for bounds of a byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrow {
    lo: f32,
    hi: f32,
    base: i32,
}

impl Narrow {
    /// `None` when bounds or zero point are not those of a byte.
    pub(super) fn new(zero: i32, (lo, hi): (i32, i32)) -> Option<Narrow> {
        let fits = lo <= hi && lo >= -128 && hi <= 255 && (-(1 << 16)..=1 << 16).contains(&zero);
        let base = (ROUND.to_bits() as i32).wrapping_sub(zero);
        fits.then(|| Narrow { lo: (lo - zero) as f32, hi: (hi - zero) as f32, base })
    }

    /// The byte of a number that is not NaN. Bounding it by whole numbers before it is rounded is the same as bounding the
    /// rounded number, because rounding is monotone and keeps whole numbers.
    #[inline(always)]
    pub(super) fn byte(self, v: f32) -> u8 {
        let v = if v > self.lo { v } else { self.lo };
        let v = if v < self.hi { v } else { self.hi };
        ((v + ROUND).to_bits() as i32).wrapping_sub(self.base) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requant::{round_half_even, store};

    #[test]
    fn bytes_are_those_of_the_definition() {
        for (zero, bounds) in [(0, (-128, 127)), (128, (0, 255)), (-7, (-100, 90)), (1 << 16, (0, 255)), (3, (5, 5))] {
            let narrow = Narrow::new(zero, bounds).expect("a byte's bounds");
            let values = (-2000..2000).map(|i| i as f32 * 0.25);
            for v in values.chain([f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e20, -65536.5, 65535.5]) {
                let expect = store(round_half_even(v), zero, bounds.0, bounds.1) as u8;
                assert_eq!(narrow.byte(v), expect, "{v} {zero} {bounds:?}");
            }
        }
    }
}

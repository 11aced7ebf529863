//! Smallest and largest of many numbers.

use crate::Isa;
use crate::vectorized::{AHEAD, prefetch, vectorized};

/// Running results side by side, so that the loop needs no one before the other.
const WIDTH: usize = 16;

/// Smallest and largest of these numbers, NaN left out; infinity and negative infinity of none. A zero is positive.
pub fn extremes(isa: Isa, values: &[f32]) -> (f32, f32) {
    vectorized(isa, || {
        let (mut min, mut max) = ([f32::INFINITY; WIDTH], [f32::NEG_INFINITY; WIDTH]);
        let (wide, rest) = values.as_chunks::<WIDTH>();
        for values in wide {
            prefetch(values.as_ptr().wrapping_add(AHEAD));
            for i in 0..WIDTH {
                min[i] = if values[i] < min[i] { values[i] } else { min[i] };
                max[i] = if values[i] > max[i] { values[i] } else { max[i] };
            }
        }
        for (i, &v) in rest.iter().enumerate() {
            min[i] = if v < min[i] { v } else { min[i] };
            max[i] = if v > max[i] { v } else { max[i] };
        }
        let least = min.iter().fold(f32::INFINITY, |a, b| if *b < a { *b } else { a });
        let most = max.iter().fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
        (least + 0.0, most + 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_instruction_set_finds_the_extremes(values in prop::collection::vec(proptest::num::f32::ANY, 0..100)) {
            let numbers = || values.iter().copied().filter(|v| !v.is_nan());
            let expect = (numbers().fold(f32::INFINITY, f32::min), numbers().fold(f32::NEG_INFINITY, f32::max));
            for isa in Isa::all() {
                prop_assert_eq!(extremes(isa, &values), expect);
            }
        }
    }

    #[test]
    fn which_zero_comes_first_cannot_be_seen() {
        for values in [[0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]] {
            let (least, most) = extremes(Isa::best(), &values);
            assert_eq!((least.to_bits(), most.to_bits()), (0, 0));
        }
    }
}

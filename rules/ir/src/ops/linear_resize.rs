//! Linear Resize in integers: two taps along each of the last two axes, with weights of 11 bits.

use serde::{Deserialize, Serialize};

/// Bits of a weight: two weights along an axis add up to `1 << WEIGHT_BITS`. Eleven keep four products of an 8-bit
/// difference within 32 bits.
pub const WEIGHT_BITS: u32 = 11;

/// Where one output row or column comes from: `lo·(1 - w) + hi·w` with `w = weight / 2^11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinearTap {
    /// First source index.
    pub lo: u32,
    /// Second source index, `lo` or the one behind it.
    pub hi: u32,
    /// Weight of `hi`, 0..=2048.
    pub weight: u32,
}

/// Linear resize of the last two axes: output pixel `(y, x)` is the sum of four input pixels, weighted by `rows[y]` and
/// `cols[x]`, rounded half away from zero: `round(Σ w_row·w_col·(q - zero) / 2^22) + zero`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearResize {
    /// Taps of each output row.
    pub rows: Vec<LinearTap>,
    /// Taps of each output column.
    pub cols: Vec<LinearTap>,
    /// ONNX `coordinate_transformation_mode` that the taps come from.
    pub transform: String,
    /// Output / input height and width, as the model gives them; `None` where it gives the sizes.
    pub scales: Option<[f32; 2]>,
}

impl LinearResize {
    /// Taps of one axis after the formulas of ONNX Resize; `None` for a coordinate transformation that is not listed.
    /// `scale` is output / input extent. Coordinates outside the image are clamped to it.
    pub fn axis(input: usize, output: usize, scale: f64, transform: &str) -> Option<Vec<LinearTap>> {
        let last = input.checked_sub(1)? as f64;
        (0..output)
            .map(|i| {
                let source = super::resize::source(i as f64, last, output, scale, transform)?.clamp(0.0, last);
                let lo = source.floor();
                let weight = ((source - lo) * f64::from(1u32 << WEIGHT_BITS)).round_ties_even() as u32;
                let hi = if weight == 0 { lo } else { (lo + 1.0).min(last) };
                Some(LinearTap { lo: lo as u32, hi: hi as u32, weight })
            })
            .collect()
    }

    /// `round(sum / 2^22)`, half away from zero.
    pub fn round(sum: i32) -> i32 {
        let half = 1i64 << (2 * WEIGHT_BITS - 1);
        let magnitude = (i64::from(sum).abs() + half) >> (2 * WEIGHT_BITS);
        (if sum < 0 { -magnitude } else { magnitude }) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_size_weighs_quarters() {
        let taps = LinearResize::axis(3, 6, 2.0, "half_pixel").expect("known");
        let expected = [(0, 0, 0), (0, 1, 512), (0, 1, 1536), (1, 2, 512), (1, 2, 1536), (2, 2, 0)];
        assert_eq!(taps, expected.map(|(lo, hi, weight)| LinearTap { lo, hi, weight }));
        assert_eq!(LinearResize::axis(3, 6, 2.0, "tf_crop_and_resize"), None);
    }

    #[test]
    fn halves_round_away_from_zero() {
        let unit = 1 << (2 * WEIGHT_BITS);
        assert_eq!([unit / 2, -unit / 2, unit / 2 - 1, 5 * unit].map(LinearResize::round), [1, -1, 0, 5]);
    }
}

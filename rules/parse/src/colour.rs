//! The linear map from the planes that a march makes of `type_rt` to the planes that a model was trained on. Called by
//! the preprocess node.
//!
//! Source of the coefficients: ITU-R BT.601-7 section 2.5 with Kr = 0.299 and Kb = 0.114; full range as JFIF 1.02 defines
//! it, studio range with 219 steps of luma and 224 of chroma.

use ptq_ir::{InputSpec, InputType, SpaceAndRange};

const KR: f64 = 0.299;
const KB: f64 = 0.114;
const KG: f64 = 1.0 - KR - KB;

/// `trained[c] = Σ matrix[c][k] · (x[k] + offset[k])`, in pixels 0..255.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Colour {
    /// One row for each trained channel.
    pub(crate) matrix: Vec<Vec<f64>>,
    /// Added to each arriving channel.
    pub(crate) offset: Vec<f64>,
}

impl Colour {
    /// The map of an input; no colour of `channels` channels where none is declared.
    pub(crate) fn of(spec: &InputSpec, channels: usize) -> Colour {
        let rows = |picked: &[usize]| {
            picked.iter().map(|&p| (0..channels).map(|k| if k == p { 1.0 } else { 0.0 }).collect()).collect()
        };
        let straight: Vec<usize> = (0..channels).collect();
        let Some(middle) = spec.middle() else {
            return Colour { matrix: rows(&straight), offset: vec![0.0; channels] };
        };
        let swapped =
            |m: Vec<Vec<f64>>| if spec.type_train == InputType::Bgr { m.into_iter().rev().collect() } else { m };
        match (middle, spec.type_train) {
            (InputType::Yuv444, InputType::Rgb | InputType::Bgr) => {
                let (luma, chroma, black) = match spec.space_and_range {
                    SpaceAndRange::Regular => (1.0, 1.0, 0.0),
                    SpaceAndRange::Bt601Video => (255.0 / 219.0, 255.0 / 224.0, 16.0),
                };
                let (red, blue) = (2.0 * (1.0 - KR) * chroma, 2.0 * (1.0 - KB) * chroma);
                let rgb =
                    vec![vec![luma, 0.0, red], vec![luma, -blue * KB / KG, -red * KR / KG], vec![luma, blue, 0.0]];
                Colour { matrix: swapped(rgb), offset: vec![128.0 - black, 0.0, 0.0] }
            }
            (a, b) if a != b => Colour { matrix: rows(&[2, 1, 0]), offset: vec![128.0; channels] },
            _ => Colour { matrix: rows(&straight), offset: vec![128.0; channels] },
        }
    }

    /// Whether each channel depends on itself alone.
    pub(crate) fn is_diagonal(&self) -> bool {
        self.matrix.iter().enumerate().all(|(c, row)| row.iter().enumerate().all(|(k, &m)| (c == k) == (m != 0.0)))
    }

    /// Whether nothing changes.
    pub(crate) fn is_nothing(&self) -> bool {
        self.is_diagonal() && self.offset.iter().all(|&o| o == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_are_those_of_the_standard() {
        let of = |type_train, type_rt, space_and_range| {
            let spec = InputSpec { type_train, type_rt: Some(type_rt), space_and_range, ..InputSpec::default() };
            Colour::of(&spec, 3)
        };
        let near = |found: &[Vec<f64>], wanted: [[f64; 3]; 3]| {
            found.iter().flatten().zip(wanted.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-6)
        };
        let full = of(InputType::Rgb, InputType::Nv12, SpaceAndRange::Regular);
        assert!(near(&full.matrix, [[1.0, 0.0, 1.402], [1.0, -0.344_136_3, -0.714_136_3], [1.0, 1.772, 0.0]]));
        assert_eq!(full.offset, [128.0, 0.0, 0.0]);
        let video = of(InputType::Bgr, InputType::Nv12, SpaceAndRange::Bt601Video);
        let y = 1.164_383_6;
        assert!(near(&video.matrix, [[y, 2.017_232_1, 0.0], [y, -0.391_762_3, -0.812_967_6], [y, 0.0, 1.596_026_8]]));
        assert_eq!(video.offset, [112.0, 0.0, 0.0]);
        let swap = of(InputType::Rgb, InputType::Bgr, SpaceAndRange::Regular);
        assert_eq!(swap.matrix, [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]);
        assert!(of(InputType::Yuv444, InputType::Nv12, SpaceAndRange::Regular).is_diagonal());
    }
}

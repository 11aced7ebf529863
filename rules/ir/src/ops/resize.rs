//! Nearest-neighbour Resize as two index tables.

use serde::{Deserialize, Serialize};

/// How near to the middle between two pixels a coordinate counts as the middle.
const MIDDLE: f64 = 1e-6;

/// Nearest-neighbour resize: output pixel `(y, x)` copies input pixel `(rows[y], cols[x])`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearestResize {
    /// Source row of each output row.
    pub rows: Vec<u32>,
    /// Source column of each output column.
    pub cols: Vec<u32>,
}

impl NearestResize {
    /// Index table of one axis after the formulas of ONNX Resize, or `None` for modes that are not nearest-neighbour
    /// index maps. `scale` is output / input extent. Coordinates are numbers of single precision, and those within
    /// 1e-6 of the middle between two pixels count as the middle: the standard leaves both open, ONNX Runtime 1.32
    /// does so (seen on 150,000 coordinates).
    pub fn axis(input: usize, output: usize, scale: f64, transform: &str, nearest: &str) -> Option<Vec<u32>> {
        let last = input.checked_sub(1)? as f64;
        (0..output)
            .map(|i| {
                let source = source_in(single, i as f64, last, output, single(scale), transform)?;
                let middle = (source - source.floor() - 0.5).abs() < MIDDLE;
                let picked = match nearest {
                    "round_prefer_floor" if middle => source.floor(),
                    "round_prefer_ceil" if middle => source.floor() + 1.0,
                    "floor" => source.floor(),
                    "ceil" => source.ceil(),
                    "round_prefer_floor" => (source - 0.5).ceil(),
                    "round_prefer_ceil" => (source + 0.5).floor(),
                    _ => return None,
                };
                Some(picked.clamp(0.0, last) as u32)
            })
            .collect()
    }
}

/// Source coordinate of output index `x` after ONNX's `coordinate_transformation_mode`, in double precision; `last` is the
/// last source index, `scale` is output / input extent. `None` for a mode that is not one of these formulas.
pub fn source(x: f64, last: f64, output: usize, scale: f64, transform: &str) -> Option<f64> {
    source_in(|v| v, x, last, output, scale, transform)
}

/// The nearest number of single precision. Products and quotients of two such numbers, computed in double precision and
/// then rounded, are those that single precision gives.
fn single(v: f64) -> f64 {
    f64::from(v as f32)
}

/// [`source`] where every step is rounded.
fn source_in(round: impl Fn(f64) -> f64, x: f64, last: f64, output: usize, scale: f64, transform: &str) -> Option<f64> {
    let half_pixel = || round(round(round(x + 0.5) / scale) - 0.5);
    Some(match transform {
        "asymmetric" => round(x / scale),
        "half_pixel" => half_pixel(),
        "pytorch_half_pixel" if output > 1 => half_pixel(),
        "pytorch_half_pixel" => 0.0,
        "align_corners" if output > 1 => round(round(x * last) / (output as f64 - 1.0)),
        "align_corners" => 0.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables that ONNX Runtime 1.32 gives, where double precision or an exact middle would give others.
    #[test]
    fn single_precision_decides_next_to_the_middle() {
        let table = |input: usize, output: usize, transform: &str, nearest: &str| {
            NearestResize::axis(input, output, output as f64 / input as f64, transform, nearest)
        };
        assert_eq!(table(7, 1, "half_pixel", "floor"), Some(vec![2]));
        let half = [0, 1, 1, 2, 3, 4, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12, 12, 13];
        assert_eq!(table(14, 19, "half_pixel", "round_prefer_floor"), Some(half.to_vec()));
        assert_eq!(table(7, 4, "asymmetric", "round_prefer_ceil"), Some(vec![0, 2, 4, 5]));
    }
}

//! Nearest-neighbour Resize as two index tables.

use serde::{Deserialize, Serialize};

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
    /// index maps. `scale` is output / input extent.
    pub fn axis(input: usize, output: usize, scale: f64, transform: &str, nearest: &str) -> Option<Vec<u32>> {
        let last = input.checked_sub(1)? as f64;
        (0..output)
            .map(|i| {
                let source = source(i as f64, last, output, scale, transform)?;
                let picked = match nearest {
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

/// Source coordinate of output index `x` after ONNX's `coordinate_transformation_mode`; `last` is the last source index.
pub(super) fn source(x: f64, last: f64, output: usize, scale: f64, transform: &str) -> Option<f64> {
    Some(match transform {
        "asymmetric" => x / scale,
        "half_pixel" => (x + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if output > 1 => (x + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "align_corners" if output > 1 => x * last / (output as f64 - 1.0),
        "align_corners" => 0.0,
        _ => return None,
    })
}

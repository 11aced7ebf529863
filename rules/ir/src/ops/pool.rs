//! Geometry of pooling windows.

use super::{pads, pair, window_extent};
use crate::{Diagnostic, Node};
use serde::{Deserialize, Serialize};

/// Window of AveragePool, MaxPool or a global pool (ONNX), `auto_pad` resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolGeom {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Strides of height and width.
    pub strides: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Dilations (MaxPool only).
    pub dilations: [usize; 2],
    /// Round the output extent up.
    pub ceil_mode: bool,
    /// AveragePool divides by the whole window, padding included.
    pub count_include_pad: bool,
}

impl PoolGeom {
    /// Reads the window of an AveragePool, MaxPool, GlobalAveragePool or GlobalMaxPool with input shape `x` (NCHW).
    ///
    /// # Errors
    /// Names the node when the rank is not 4 or the window does not fit.
    pub fn of(node: &Node, x: &[usize]) -> Result<PoolGeom, Diagnostic> {
        let bad = |why: String| Diagnostic::error("OPS05", why).node(&node.name);
        let &[_, _, h, w] = x else {
            return Err(bad(format!("{} of rank {}: only 2-D is supported", node.op, x.len())));
        };
        if node.op.starts_with("Global") {
            return Ok(PoolGeom::global([h, w]));
        }
        let kernel = pair(node, "kernel_shape", 0)?;
        let strides = pair(node, "strides", 1)?;
        let dilations = pair(node, "dilations", 1)?;
        if kernel.contains(&0) || strides.contains(&0) || dilations.contains(&0) {
            return Err(bad("kernel_shape, strides and dilations must be given and positive".into()));
        }
        let span = [(kernel[0] - 1) * dilations[0] + 1, (kernel[1] - 1) * dilations[1] + 1];
        let geom = PoolGeom {
            kernel,
            strides,
            pads: pads(node, [h, w], span, strides)?,
            dilations,
            ceil_mode: node.attrs.int("ceil_mode", 0) != 0,
            count_include_pad: node.attrs.int("count_include_pad", 0) != 0,
        };
        if geom.out_hw([h, w]).is_none() {
            return Err(bad(format!("window {span:?} is larger than the padded input {x:?}")));
        }
        Ok(geom)
    }

    /// A window over the whole image.
    pub fn global(hw: [usize; 2]) -> PoolGeom {
        PoolGeom {
            kernel: hw,
            strides: [1, 1],
            pads: [0; 4],
            dilations: [1, 1],
            ceil_mode: false,
            count_include_pad: false,
        }
    }

    /// Output height and width; `None` when the window does not fit. With `ceil_mode`, a last window that would start
    /// in the padding behind the image is dropped (as ONNX Runtime and PyTorch do).
    pub fn out_hw(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let extent = |d: usize| {
            let span = (self.kernel[d] - 1) * self.dilations[d] + 1;
            let n = window_extent(input[d], self.pads[d] + self.pads[d + 2], span, self.strides[d], self.ceil_mode)?;
            let starts_behind = self.ceil_mode && (n - 1) * self.strides[d] >= input[d] + self.pads[d];
            Some(if starts_behind { n - 1 } else { n })
        };
        Some([extent(0)?, extent(1)?])
    }
}

//! Geometry of Conv.

use super::{pads, pair, window_extent};
use crate::{Diagnostic, Node};
use serde::{Deserialize, Serialize};

/// Geometry of a 2-D convolution, `auto_pad` resolved (ONNX Conv).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvGeom {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Strides of height and width, at least 1.
    pub strides: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Dilations of height and width, at least 1.
    pub dilations: [usize; 2],
    /// Groups, at least 1.
    pub group: usize,
}

impl ConvGeom {
    /// Reads the geometry of a Conv with input shape `x` (NCHW) and weight shape `w` (OIHW).
    ///
    /// # Errors
    /// Names the node when the rank is not 4, or channels, groups or window do not fit.
    pub fn of(node: &Node, x: &[usize], w: &[usize]) -> Result<ConvGeom, Diagnostic> {
        let bad = |why: String| Diagnostic::error("OPS04", why).node(&node.name);
        let (&[_, c, h, wd], &[oc, icg, kh, kw]) = (x, w) else {
            return Err(bad(format!(
                "Conv of input rank {} and weight rank {}: only 2-D is supported",
                x.len(),
                w.len()
            )));
        };
        let strides = pair(node, "strides", 1)?;
        let dilations = pair(node, "dilations", 1)?;
        let group = usize::try_from(node.attrs.int("group", 1)).unwrap_or(0);
        if strides.contains(&0) || dilations.contains(&0) || group == 0 || kh == 0 || kw == 0 {
            return Err(bad("kernel, strides, dilations and group must be positive".into()));
        }
        if icg * group != c || oc % group != 0 {
            return Err(bad(format!("weights {w:?} in {group} groups do not fit {c} input channels")));
        }
        let span = [(kh - 1) * dilations[0] + 1, (kw - 1) * dilations[1] + 1];
        let pads = pads(node, [h, wd], span, strides)?;
        let geom = ConvGeom { kernel: [kh, kw], strides, pads, dilations, group };
        if geom.out_hw([h, wd]).is_none() {
            return Err(bad(format!("window {span:?} is larger than the padded input {x:?}")));
        }
        Ok(geom)
    }

    /// Output height and width; `None` when the window does not fit.
    pub fn out_hw(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let extent = |d: usize| {
            let span = (self.kernel[d] - 1) * self.dilations[d] + 1;
            window_extent(input[d], self.pads[d] + self.pads[d + 2], span, self.strides[d], false)
        };
        Some([extent(0)?, extent(1)?])
    }
}

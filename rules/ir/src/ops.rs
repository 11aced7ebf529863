//! Typed readings of operator attributes, one file an operator family.
//!
//! Every crate that needs a convolution's geometry gets it here, so that kernels, placement and
//! compile cannot read the same attribute differently.

mod clip;
mod conv;
mod custom;
mod data;
mod elements;
mod function;
mod gemm;
mod linear_resize;
mod pool;
mod reduce;
mod resample;
mod resize;
mod space;
mod window;

pub use clip::activation_of;
pub use conv::ConvGeom;
pub use custom::{CUSTOM, CustomInput, CustomOp, CustomOutput, Given, evaluate};
pub use data::{Unique, non_zero, ordered, shape_slice};
pub use elements::ElementTable;
pub use function::{FUNCTION, FUNCTION_DOMAIN, FunctionStep, Operand, ScalarFunction, is_function};
pub use gemm::GemmAttrs;
pub use linear_resize::{LinearResize, LinearTap, WEIGHT_BITS};
pub use pool::PoolGeom;
pub use reduce::reduced_axes;
pub use resample::{Filter, Resample};
pub use resize::{NearestResize, source as resize_source};
pub use space::{BlockMove, BlockOrder};
pub use window::{TransposedWindow, Window};

use crate::{Diagnostic, Node};

/// A non-negative axis from ONNX's possibly negative one; `None` when it is outside the rank.
pub fn axis(raw: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if raw < 0 { raw + rank } else { raw };
    (0..rank).contains(&axis).then_some(axis as usize)
}

/// Spatial extent of a window's output; `None` when the window does not fit.
pub(crate) fn window_extent(input: usize, pads: usize, span: usize, stride: usize, ceil: bool) -> Option<usize> {
    let room = (input + pads).checked_sub(span)?;
    Some(if ceil { room.div_ceil(stride) } else { room / stride } + 1)
}

/// Two spatial numbers of an attribute (1-D operators are read as height 1), or `default` twice.
pub(crate) fn pair(node: &Node, name: &str, default: usize) -> Result<[usize; 2], Diagnostic> {
    let read = |v: i64| {
        usize::try_from(v).map_err(|_| Diagnostic::error("OPS01", format!("{name} {v} is negative")).node(&node.name))
    };
    match node.attrs.ints(name) {
        None => Ok([default; 2]),
        Some([w]) => Ok([default, read(*w)?]),
        Some([h, w]) => Ok([read(*h)?, read(*w)?]),
        Some(other) => {
            Err(Diagnostic::error("OPS02", format!("{name} has {} entries, 2 are supported", other.len()))
                .node(&node.name))
        }
    }
}

/// Pads `[top, left, bottom, right]` of a 2-D window, with `auto_pad` resolved against the input's extent.
pub(crate) fn pads(
    node: &Node,
    input: [usize; 2],
    span: [usize; 2],
    strides: [usize; 2],
) -> Result<[usize; 4], Diagnostic> {
    let bad = |why: String| Diagnostic::error("OPS03", why).node(&node.name);
    match node.attrs.str("auto_pad", "NOTSET") {
        "NOTSET" | "" => match node.attrs.ints("pads") {
            None => Ok([0; 4]),
            Some(p) => {
                let p: Vec<usize> = p
                    .iter()
                    .map(|&v| usize::try_from(v).map_err(|_| bad(format!("pad {v} is negative"))))
                    .collect::<Result<_, _>>()?;
                match p[..] {
                    [l, r] => Ok([0, l, 0, r]),
                    [t, l, b, r] => Ok([t, l, b, r]),
                    _ => Err(bad(format!("pads has {} entries, 4 are supported", p.len()))),
                }
            }
        },
        "VALID" => Ok([0; 4]),
        mode @ ("SAME_UPPER" | "SAME_LOWER") => {
            let total = |d: usize| {
                let out = input[d].div_ceil(strides[d].max(1));
                (out.saturating_sub(1) * strides[d] + span[d]).saturating_sub(input[d])
            };
            let (h, w) = (total(0), total(1));
            Ok(if mode == "SAME_UPPER" {
                [h / 2, w / 2, h - h / 2, w - w / 2]
            } else {
                [h - h / 2, w - w / 2, h / 2, w / 2]
            })
        }
        other => Err(bad(format!("auto_pad {other:?} is not an ONNX mode"))),
    }
}

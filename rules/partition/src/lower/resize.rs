//! Resize of the last two axes: nearest pixels or linear taps, as tables.

use super::moves::moved;
use crate::builder::Builder;
use ptq_ir::{Diagnostic, NodeId, QOp, ops};

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |why: &str| Diagnostic::error("PART12", why.to_owned()).node(&node.name);
    let (x, y) = match (node.input(0), node.outputs.first()) {
        (Some(x), Some(&y)) => (b.graph.value(x).shape.clone(), b.graph.value(y).shape.clone()),
        _ => return Err(bad("has no input or output")),
    };
    if x.len() < 2 || x.len() != y.len() {
        return Err(bad("rank does not fit"));
    }
    let (h, w) = (x.len() - 2, x.len() - 1);
    let scales = b.graph.const_input(node, 2).and_then(|t| t.f32s().ok()).filter(|s| s.len() == x.len());
    let scale = |axis: usize| scales.map_or(y[axis] as f64 / x[axis] as f64, |s| f64::from(s[axis]));
    let transform = node.attrs.str("coordinate_transformation_mode", "half_pixel");
    let op = match node.attrs.str("mode", "nearest") {
        "linear" => {
            let taps = |axis: usize| ops::LinearResize::axis(x[axis], y[axis], scale(axis), transform);
            let (Some(rows), Some(cols)) = (taps(h), taps(w)) else {
                return Err(bad("coordinate mode is not a table of taps"));
            };
            let scales = scales.map(|s| [s[h], s[w]]);
            QOp::LinearResize(ops::LinearResize { rows, cols, transform: transform.to_owned(), scales })
        }
        _ => {
            let nearest = node.attrs.str("nearest_mode", "round_prefer_floor");
            let table = |axis: usize| ops::NearestResize::axis(x[axis], y[axis], scale(axis), transform, nearest);
            let (Some(rows), Some(cols)) = (table(h), table(w)) else {
                return Err(bad("coordinate or rounding mode is not a table of nearest pixels"));
            };
            QOp::Resize(ops::NearestResize { rows, cols })
        }
    };
    moved(b, id, false, op)
}

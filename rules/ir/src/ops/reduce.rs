//! Axes of reductions.

use super::axis;
use crate::{Graph, Node};

/// Axes that a Reduce* node removes, sorted; all of them where it names none. `None` when they are not constant or outside the rank.
pub fn reduced_axes(graph: &Graph, node: &Node) -> Option<Vec<usize>> {
    let rank = graph.value(node.input(0)?).shape.len();
    let named = match node.input(1) {
        Some(_) => graph.const_input(node, 1)?.to_i64s().ok()?,
        None => node.attrs.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
    };
    if named.is_empty() {
        return Some((0..rank).collect());
    }
    let mut axes = named.iter().map(|&a| axis(a, rank)).collect::<Option<Vec<_>>>()?;
    axes.sort_unstable();
    Some(axes)
}

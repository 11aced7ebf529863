//! Relu and Clip read as activations.

use crate::{Activation, Graph, Node};

/// The activation that a Relu or Clip node applies; `None` for other operators or non-constant bounds.
pub fn activation_of(graph: &Graph, node: &Node) -> Option<Activation> {
    if node.is("Relu") {
        return Some(Activation::Relu);
    }
    if !node.is("Clip") {
        return None;
    }
    let bound = |i: usize, default: f32| match node.input(i) {
        None => Some(default),
        Some(v) => graph.constant(v)?.f32s().ok()?.first().copied(),
    };
    let (min, max) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
    Some(if min == 0.0 && max == f32::INFINITY { Activation::Relu } else { Activation::Clip { min, max } })
}

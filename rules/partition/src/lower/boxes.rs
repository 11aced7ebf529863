//! Slice and Split: boxes of their input, one integer node for each result.

use super::operands::input;
use crate::builder::Builder;
use ptq_ir::{Diagnostic, NodeId, QOp, ops};

/// Slice with step 1 along every axis.
pub(super) fn slice(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |why: &str| Diagnostic::error("PART14", why.to_owned()).node(&node.name);
    let shape = node.input(0).map(|v| b.graph.value(v).shape.clone()).unwrap_or_default();
    let ints = |i: usize| b.graph.const_input(node, i).and_then(|t| t.to_i64s().ok());
    let first = ints(1).ok_or_else(|| bad("starts are not constant"))?;
    let axes = match node.input(3) {
        None => (0..first.len() as i64).collect(),
        Some(_) => ints(3).ok_or_else(|| bad("axes are not constant"))?,
    };
    let mut starts = vec![0; shape.len()];
    for (&start, &axis) in first.iter().zip(&axes) {
        let axis = ops::axis(axis, shape.len()).ok_or_else(|| bad("an axis is outside the rank"))?;
        let extent = shape[axis] as i64;
        starts[axis] = (if start < 0 { start.saturating_add(extent) } else { start }).clamp(0, extent) as usize;
    }
    part(b, id, 0, starts)
}

/// Split: the parts follow each other along one axis.
pub(super) fn split(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let rank = node.input(0).map_or(0, |v| b.graph.value(v).shape.len());
    let axis = ops::axis(node.attrs.int("axis", 0), rank)
        .ok_or_else(|| Diagnostic::error("PART14", "axis is outside the rank").node(&node.name))?;
    let mut starts = vec![0; rank];
    for (i, &output) in node.outputs.iter().enumerate() {
        part(b, id, i, starts.clone())?;
        starts[axis] += b.graph.value(output).shape.get(axis).copied().unwrap_or(0);
    }
    Ok(())
}

/// Adds the node that makes output `i`.
fn part(b: &mut Builder<'_>, id: NodeId, i: usize, starts: Vec<usize>) -> Result<(), Diagnostic> {
    let x = input(b, id, 0)?;
    let params = b.tensor_params(x);
    let result = b.graph.node(id).outputs[i];
    let t = b.integer_home(result, params);
    b.bpu_part(id, i, QOp::Slice { starts }, vec![x], result, t);
    Ok(())
}

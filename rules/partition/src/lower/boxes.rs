//! Slice and Split: boxes of their input, one integer node for each result; a Slice with steps gathers along its axis.

use super::moves::moved;
use super::operands::input;
use crate::builder::Builder;
use ptq_ir::{Diagnostic, NodeId, QOp, QuantParams, ops};

/// Slice: a box, or elements of one axis.
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
    let steps = match node.input(4) {
        None => vec![1; first.len()],
        Some(_) => ints(4).ok_or_else(|| bad("steps are not constant"))?,
    };
    if let Some(i) = steps.iter().position(|&s| s != 1) {
        let axis = axes.get(i).and_then(|&a| ops::axis(a, shape.len()));
        let axis = axis.ok_or_else(|| bad("an axis is outside the rank"))?;
        let count = node.outputs.first().map_or(0, |&y| b.graph.value(y).shape.get(axis).copied().unwrap_or(0));
        let indices = stepped(first[i], steps[i], shape[axis], count);
        let indices = indices.ok_or_else(|| bad("its steps leave the axis"))?;
        return moved(b, id, false, QOp::Gather { axis, indices });
    }
    let mut starts = vec![0; shape.len()];
    for (&start, &axis) in first.iter().zip(&axes) {
        let axis = ops::axis(axis, shape.len()).ok_or_else(|| bad("an axis is outside the rank"))?;
        let extent = shape[axis] as i64;
        starts[axis] = (if start < 0 { start.saturating_add(extent) } else { start }).clamp(0, extent) as usize;
    }
    part(b, id, 0, starts)
}

/// Indices along an axis from `start` on, which counts from the end where it is negative and is brought inside (ONNX, Slice).
fn stepped(start: i64, step: i64, extent: usize, count: usize) -> Option<Vec<u32>> {
    let extent = i64::try_from(extent).ok()?;
    let start = if start < 0 { start.saturating_add(extent) } else { start };
    let start = start.clamp(0, if step < 0 { extent - 1 } else { extent });
    let index =
        |i: i64| u32::try_from(start.checked_add(i.checked_mul(step)?)?).ok().filter(|&v| i64::from(v) < extent);
    (0..i64::try_from(count).ok()?).map(index).collect()
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
    let result = b.graph.node(id).outputs[i];
    let params = cut(b.tensor_params(x), &starts, &b.graph.value(result).shape);
    let t = b.integer_home(result, params);
    b.bpu_part(id, i, QOp::Slice { starts }, vec![x], result, t);
    Ok(())
}

/// Parameters of a box: of per-channel ones those of its channels.
fn cut(params: QuantParams, starts: &[usize], shape: &[usize]) -> QuantParams {
    let Some(axis) = params.axis else { return params };
    let (from, count) = (starts.get(axis).copied().unwrap_or(0), shape.get(axis).copied().unwrap_or(0));
    let part = |all: usize| if all > 1 { from.min(all)..from.saturating_add(count).min(all) } else { 0..all };
    let (scales, zeros) = (part(params.scale.len()), part(params.zero_point.len()));
    QuantParams { scale: params.scale[scales].to_vec(), zero_point: params.zero_point[zeros].to_vec(), ..params }
}

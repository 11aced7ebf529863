//! Chosen elements: GatherElements with constant indices, GridSample of the nearest pixels of a constant grid. The axes that the choice
//! runs over become one, along which a table of indices gathers.

use super::moves::moved;
use super::operands::input;
use crate::builder::Builder;
use ptq_ir::ops::ElementTable;
use ptq_ir::{Diagnostic, NodeId, QOp, Tensor};
use std::ops::Range;

/// GatherElements; where its indices are the same for every place of the other axes, a Gather along its own.
pub(super) fn gather(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let table = ElementTable::of(b.graph, node);
    let Some(ElementTable { axes, indices }) = table else {
        return Err(Diagnostic::error("PART19", "its indices are not constants inside the axis").node(&node.name));
    };
    if axes.len() == 1 {
        return moved(b, id, false, QOp::Gather { axis: axes.start, indices });
    }
    along_one(b, id, axes, indices, false)
}

/// GridSample: the operator itself, on an image of the pixels' numbers, says which pixel each point takes.
pub(super) fn sample(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |why: &dyn std::fmt::Display| Diagnostic::error("PART20", why.to_string()).node(&node.name);
    let shape = node.input(0).map(|v| b.graph.value(v).shape.as_slice()).unwrap_or_default();
    let (&[1, _, h, w], Some(grid)) = (shape, b.graph.const_input(node, 1)) else {
        return Err(bad(&"takes one image and a constant grid"));
    };
    let numbers = (1..=h.saturating_mul(w)).map(|n| n as f32).collect::<Vec<f32>>();
    if node.attrs.str("mode", "bilinear") != "nearest" || numbers.len() >= 1 << 24 {
        return Err(bad(&"takes the nearest pixels of an image of less than 2^24"));
    }
    let zero = numbers.len() as u32;
    let numbers = Tensor::from_f32([1, 1, h, w], numbers).map_err(|e| bad(&e))?;
    let found = ptq_exec::eval(&node.op, &node.domain, &node.attrs, &[Some(&numbers), Some(grid)]);
    let found = found.map_err(|e| bad(&e))?.into_iter().next().ok_or_else(|| bad(&"gave no result"))?;
    // No number: the padding, which stands behind the last pixel.
    let indices = found.f32s().map_err(|e| bad(&e))?.iter().map(|&n| (n as u32).checked_sub(1).unwrap_or(zero));
    let indices: Vec<u32> = indices.collect();
    let padded = indices.contains(&zero);
    along_one(b, id, 2..4, indices, padded)
}

/// Adds a node that gathers along axes that become one, with a zero behind their last element where `padded`.
fn along_one(
    b: &mut Builder<'_>,
    id: NodeId,
    axes: Range<usize>,
    indices: Vec<u32>,
    padded: bool,
) -> Result<(), Diagnostic> {
    let x = input(b, id, 0)?;
    let (shape, params) = (b.tensor_shape(x), b.tensor_params(x));
    let count = |axes: Range<usize>| shape[axes].iter().product::<usize>();
    let mut lines = [count(0..axes.start), count(axes.clone()), count(axes.end..shape.len())];
    let mut t = b.inner(id, "lines", QOp::Reshape, vec![x], &lines, &params);
    if padded {
        lines[1] += 1;
        let op = QOp::Pad { before: vec![0; 3], value: params.zero_point0() };
        t = b.inner(id, "padded", op, vec![t], &lines, &params);
    }
    lines[1] = indices.len();
    let t = b.inner(id, "elements", QOp::Gather { axis: 1, indices }, vec![t], &lines, &params);
    let result = b.result(id)?;
    let y = b.integer_home(result, params);
    b.bpu_node(id, QOp::Reshape, vec![t], result, y);
    Ok(())
}

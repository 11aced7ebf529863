//! Operators that only move elements: Reshape and its kin, Transpose, nearest-neighbour Resize, blocks of channels.

use super::operands::input;
use crate::builder::Builder;
use ptq_ir::{Diagnostic, NodeId, QOp, QuantParams, ops};
use ptq_place::channel_axis_after;

pub(super) fn reshape(b: &mut Builder<'_>, id: NodeId, int32: bool) -> Result<(), Diagnostic> {
    moved(b, id, int32, QOp::Reshape)
}

pub(super) fn transpose(b: &mut Builder<'_>, id: NodeId, int32: bool) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let rank = node.input(0).map_or(0, |v| b.graph.value(v).shape.len());
    let perm = match node.attrs.ints("perm") {
        Some(p) => p.iter().filter_map(|&a| ops::axis(a, rank)).collect(),
        None => (0..rank).rev().collect::<Vec<_>>(),
    };
    if perm.len() != rank {
        return Err(Diagnostic::error("PART11", "perm does not name every axis once").node(&node.name));
    }
    moved(b, id, int32, QOp::Transpose { perm })
}

pub(super) fn resize(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |why: &str| Diagnostic::error("PART12", why.to_owned()).node(&node.name);
    let (x, y) = match (node.input(0), node.outputs.first()) {
        (Some(x), Some(&y)) => (b.graph.value(x).shape.clone(), b.graph.value(y).shape.clone()),
        _ => return Err(bad("has no input or output")),
    };
    let scales = b.graph.const_input(node, 2).and_then(|t| t.f32s().ok()).filter(|s| s.len() == x.len());
    let transform = node.attrs.str("coordinate_transformation_mode", "half_pixel");
    let nearest = node.attrs.str("nearest_mode", "round_prefer_floor");
    let table = |axis: usize| {
        let scale = scales.map_or(y[axis] as f64 / x[axis] as f64, |s| f64::from(s[axis]));
        ops::NearestResize::axis(x[axis], y[axis], scale, transform, nearest)
    };
    let [.., h, w] = [x.len().wrapping_sub(2), x.len().wrapping_sub(1)];
    if x.len() < 2 || x.len() != y.len() {
        return Err(bad("rank does not fit"));
    }
    let (Some(rows), Some(cols)) = (table(h), table(w)) else {
        return Err(bad("coordinate or rounding mode is not a table of nearest pixels"));
    };
    moved(b, id, false, QOp::Resize(ops::NearestResize { rows, cols }))
}

pub(super) fn block(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let block = ops::BlockMove::of(node)?;
    let op = if node.is("DepthToSpace") { QOp::DepthToSpace(block) } else { QOp::SpaceToDepth { block: block.block } };
    moved(b, id, false, op)
}

/// Adds a node whose result has its input's parameters; per-channel ones follow their axis.
fn moved(b: &mut Builder<'_>, id: NodeId, int32: bool, op: QOp) -> Result<(), Diagnostic> {
    let x = input(b, id, 0)?;
    let mut params = b.tensor_params(x);
    if int32 {
        let node = b.graph.node(id);
        let axis = params.axis.and_then(|a| channel_axis_after(b.graph, node, a));
        let axis = axis.ok_or_else(|| Diagnostic::error("PART13", "splits the channels").node(&node.name))?;
        params = QuantParams { axis: Some(axis), ..params };
    }
    let result = b.result(id)?;
    let t = b.integer_home(result, params);
    b.bpu_node(id, op, vec![x], result, t);
    Ok(())
}

//! Operators that only move elements: Reshape and its kin, Transpose, blocks of channels, tables of indices, paddings.

use super::operands::input;
use crate::builder::Builder;
use ptq_ir::{Diagnostic, NodeId, QOp, QuantParams, ops};
use ptq_kernels::requant::quantize;
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

pub(super) fn block(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let block = ops::BlockMove::of(node)?;
    let op = if node.is("DepthToSpace") { QOp::DepthToSpace(block) } else { QOp::SpaceToDepth { block: block.block } };
    moved(b, id, false, op)
}

/// Gather by constant indices, Expand and Tile along one axis.
pub(super) fn gather(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |why: &str| Diagnostic::error("PART16", why.to_owned()).node(&node.name);
    let (Some(x), Some(&y)) = (node.input(0), node.outputs.first()) else {
        return Err(bad("has no input or output"));
    };
    let (x, y) = (&b.graph.value(x).shape, &b.graph.value(y).shape);
    let (axis, indices) = if node.is("Gather") {
        let axis = ops::axis(node.attrs.int("axis", 0), x.len()).ok_or_else(|| bad("axis is outside the rank"))?;
        let indices = b.graph.const_input(node, 1).and_then(|t| t.to_i64s().ok());
        let place = |i: i64| ops::axis(i, x[axis]).map(|i| i as u32);
        let indices = indices.and_then(|all| all.into_iter().map(place).collect::<Option<Vec<u32>>>());
        (axis, indices.ok_or_else(|| bad("its indices are not constants inside the axis"))?)
    } else {
        let axis = (0..x.len()).find(|&d| x.len() == y.len() && x[d] != y[d]);
        let axis = axis.ok_or_else(|| bad("changes no axis, or the rank"))?;
        (axis, (0..y[axis]).map(|i| (i % x[axis].max(1)) as u32).collect())
    };
    moved(b, id, false, QOp::Gather { axis, indices })
}

/// Pad with a constant, which saturates to the input's range.
pub(super) fn pad(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |why: &str| Diagnostic::error("PART17", why.to_owned()).node(&node.name);
    let rank = node.input(0).map_or(0, |v| b.graph.value(v).shape.len());
    let pads = b.graph.const_input(node, 1).and_then(|t| t.to_i64s().ok()).filter(|p| p.len() == 2 * rank);
    let before = pads.and_then(|p| p[..rank].iter().map(|&p| usize::try_from(p).ok()).collect::<Option<Vec<_>>>());
    let before = before.ok_or_else(|| bad("its paddings are not constant, or cut elements off"))?;
    let filling = match node.input(2) {
        None => 0.0,
        Some(_) => {
            let value = b.graph.const_input(node, 2).and_then(|t| t.f32s().ok()?.first().copied());
            value.ok_or_else(|| bad("its value is not a constant"))?
        }
    };
    let x = input(b, id, 0)?;
    let params = b.tensor_params(x);
    let (lo, hi) = params.dtype.quant_range().ok_or_else(|| bad("its input is not quantized"))?;
    let value = quantize(filling, params.scale0(), params.zero_point0(), lo, hi);
    moved(b, id, false, QOp::Pad { before, value })
}

/// Adds a node whose result has its input's parameters; per-channel ones follow their axis.
pub(super) fn moved(b: &mut Builder<'_>, id: NodeId, int32: bool, op: QOp) -> Result<(), Diagnostic> {
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

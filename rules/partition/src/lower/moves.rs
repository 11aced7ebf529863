//! Operators that only move elements: Reshape and its kin, Transpose, blocks of channels.

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

pub(super) fn block(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let block = ops::BlockMove::of(node)?;
    let op = if node.is("DepthToSpace") { QOp::DepthToSpace(block) } else { QOp::SpaceToDepth { block: block.block } };
    moved(b, id, false, op)
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

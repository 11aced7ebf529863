//! Reshape → nothing where both storage orders agree with the model's order, otherwise TRANS through that order.
//!
//! Reshape keeps elements in the model's (row-major) order, while rank-4 tensors are stored channels-last.

use super::permute::{Permutation, copy};
use super::{Lowered, Lowering};
use crate::ddr::Place;
use ptq_ir::{Diagnostic, QNode, TensorId};
use ptq_sim::storage_dims;

/// Lowers a reshape.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode) -> Lowered {
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let (elem, bytes) = (l.elem(input)?, l.bytes(input)?);
    let mut place = l.place(input)?;
    let mut plan = Vec::new();
    let (leave, enter) = (leave(&l.tensor(input).shape), enter(&l.tensor(output).shape));
    if !leave.is_identity() {
        let to = if enter.is_identity() { l.result(output)? } else { l.scratch(bytes) };
        plan.extend(copy(l, &leave, elem, place, to)?);
        place = to;
    }
    if !enter.is_identity() {
        let to = l.result(output)?;
        plan.extend(copy(l, &enter, elem, place, to)?);
    } else if leave.is_identity() {
        l.result_at(output, place)?;
    }
    Ok(plan)
}

/// Stored NHWC → NCHW.
fn leave(shape: &[usize]) -> Permutation {
    Permutation::new(&storage_dims(shape), &inverse_axes(shape.len()))
}

/// NCHW → stored NHWC.
fn enter(shape: &[usize]) -> Permutation {
    Permutation::new(shape, &ptq_sim::storage_axes(shape.len()))
}

/// Where a tensor lies in the model's order; copied there where its storage has another one.
pub(super) fn in_model_order(l: &mut Lowering<'_>, id: TensorId) -> Result<Place, Diagnostic> {
    let (elem, bytes, place) = (l.elem(id)?, l.bytes(id)?, l.place(id)?);
    let leave = leave(&l.tensor(id).shape);
    if leave.is_identity() {
        return Ok(place);
    }
    let to = l.scratch(bytes);
    copy(l, &leave, elem, place, to)?;
    Ok(to)
}

/// Calls `make` with the place that it fills in the model's order, and stores the result from there.
pub(super) fn from_model_order(
    l: &mut Lowering<'_>,
    id: TensorId,
    make: impl FnOnce(&mut Lowering<'_>, Place) -> Lowered,
) -> Lowered {
    let enter = enter(&l.tensor(id).shape);
    if enter.is_identity() {
        let y = l.result(id)?;
        return make(l, y);
    }
    let (elem, bytes) = (l.elem(id)?, l.bytes(id)?);
    let made = l.scratch(bytes);
    let plan = make(l, made)?;
    let y = l.result(id)?;
    copy(l, &enter, elem, made, y)?;
    Ok(plan)
}

/// For each model axis, its position in storage.
fn inverse_axes(rank: usize) -> Vec<usize> {
    let axes = ptq_sim::storage_axes(rank);
    (0..rank).map(|a| axes.iter().position(|&s| s == a).unwrap_or(a)).collect()
}

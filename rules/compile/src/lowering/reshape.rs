//! Reshape → nothing where both storage orders agree with the model's order, otherwise TRANS through that order.
//!
//! Reshape keeps elements in the model's (row-major) order, while rank-4 tensors are stored channels-last.

use super::permute::{Permutation, copy};
use super::{Lowered, Lowering};
use ptq_ir::QNode;
use ptq_sim::storage_dims;

/// Lowers a reshape.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode) -> Lowered {
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let (elem, bytes) = (l.elem(input)?, l.bytes(input)?);
    let mut place = l.place(input)?;
    let mut plan = Vec::new();
    let shape = &l.tensor(input).shape;
    // Stored NHWC → NCHW.
    let leave = Permutation::new(&storage_dims(shape), &inverse_axes(shape.len()));
    let shape = &l.tensor(output).shape;
    // NCHW → stored NHWC.
    let enter = Permutation::new(shape, &ptq_sim::storage_axes(shape.len()));
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

/// For each model axis, its position in storage.
fn inverse_axes(rank: usize) -> Vec<usize> {
    let axes = ptq_sim::storage_axes(rank);
    (0..rank).map(|a| axes.iter().position(|&s| s == a).unwrap_or(a)).collect()
}

//! Pad → STORE of the filling over the whole result, then boxes of the input over its middle.

use super::{Lowered, Lowering, axis, does_not_fit};
use crate::sram::{SramBump, cut, cut_all, first_tile, halvings};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QNode, strides};
use ptq_sim::{storage_axes, storage_dims};

/// Largest constant of filling in bytes.
const FILLING: usize = 1 << 16;

/// Lowers a padding.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, before: &[usize], value: i32) -> Lowered {
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let (dims, out_dims) = (storage_dims(&l.tensor(input).shape), storage_dims(&l.tensor(output).shape));
    let (from_strides, to_strides) = (strides(&dims), strides(&out_dims));
    let first: Vec<usize> = storage_axes(before.len()).into_iter().map(|a| before[a]).collect();
    let target = l.target;
    let elem = l.elem(input)?.bytes();
    let total = l.bytes(output)?;
    let room = |bytes: usize| SramBump::all(target, [bytes]).map(|[at]| (bytes, at));
    let whole = |count: usize| room(count * elem);
    let Some((filling, filling_at)) = halvings(total.min(FILLING) / elem).find_map(whole) else {
        return Err(does_not_fit(target, "one element", elem));
    };
    let boxes = |extents: &[usize]| {
        Some((BoxTransfer::new(extents, &from_strides, elem)?, BoxTransfer::new(extents, &to_strides, elem)?))
    };
    let accept = |t: &[usize]| {
        let (_, at) = whole(t.iter().product())?;
        boxes(t).map(|_| at)
    };
    let Some((tile, at)) = first_tile(&dims, accept) else {
        return Err(does_not_fit(target, "one element", elem));
    };
    let (x, y) = (l.place(input)?, l.result(output)?);
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    let constant = l.constant(&value.to_le_bytes()[..elem].repeat(filling / elem));
    l.load(BoxTransfer::linear(filling).ok_or_else(broken)?, constant, filling_at);
    for (start, bytes) in cut(total, filling) {
        l.store(BoxTransfer::linear(bytes).ok_or_else(broken)?, filling_at, y.offset(start));
    }
    for piece in cut_all(&dims, &tile) {
        let extents: Vec<usize> = piece.iter().map(|p| p.1).collect();
        let (load, store) = boxes(&extents).ok_or_else(broken)?;
        let from: usize = piece.iter().zip(&from_strides).map(|(p, s)| p.0 * s).sum();
        let to: usize = piece.iter().zip(&first).zip(&to_strides).map(|((p, f), s)| (p.0 + f) * s).sum();
        l.load(load, x.offset(from * elem), at);
        l.store(store, at, y.offset(to * elem));
    }
    Ok(tile.iter().zip(&dims).enumerate().map(|(i, (&t, &d))| axis(&format!("axis {i}"), t, d)).collect())
}

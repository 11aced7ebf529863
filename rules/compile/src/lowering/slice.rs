//! Slice → LOAD of a strided box, STORE of a compact one.

use super::{Lowered, Lowering, axis, does_not_fit};
use crate::sram::{SramBump, cut_all, first_tile};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QNode, strides};
use ptq_sim::{storage_axes, storage_dims};

/// Lowers a box of a tensor.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, starts: &[usize]) -> Lowered {
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let (dims, out_dims) = (storage_dims(&l.tensor(input).shape), storage_dims(&l.tensor(output).shape));
    let (from_strides, to_strides) = (strides(&dims), strides(&out_dims));
    let first: Vec<usize> = storage_axes(starts.len()).into_iter().map(|a| starts[a]).collect();
    let bytes = l.elem(input)?.bytes();
    let x = l.place(input)?;
    if dims == out_dims {
        l.result_at(output, x)?;
        return Ok(Vec::new());
    }
    let target = l.target;
    let box_of = |extents: &[usize]| {
        let (load, store) =
            (BoxTransfer::new(extents, &from_strides, bytes)?, BoxTransfer::new(extents, &to_strides, bytes)?);
        Some((load, store))
    };
    let accept = |t: &[usize]| {
        let [at] = SramBump::all(target, [t.iter().product::<usize>() * bytes])?;
        box_of(t).map(|_| at)
    };
    let Some((tile, at)) = first_tile(&out_dims, accept) else {
        return Err(does_not_fit(target, "one element", bytes));
    };
    let y = l.result(output)?;
    for piece in cut_all(&out_dims, &tile) {
        let extents: Vec<usize> = piece.iter().map(|p| p.1).collect();
        let (load, store) =
            box_of(&extents).ok_or_else(|| Diagnostic::error("COMP04", "a tile is larger than a transfer can hold"))?;
        let from: usize = piece.iter().zip(&first).zip(&from_strides).map(|((p, f), s)| (p.0 + f) * s).sum();
        let to: usize = piece.iter().zip(&to_strides).map(|(p, s)| p.0 * s).sum();
        l.load(load, x.offset(from * bytes), at);
        l.store(store, at, y.offset(to * bytes));
    }
    Ok(tile.iter().zip(&out_dims).enumerate().map(|(i, (&t, &d))| axis(&format!("axis {i}"), t, d)).collect())
}

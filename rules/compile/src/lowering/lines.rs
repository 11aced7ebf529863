//! Reductions → POOL and Softmax → SOFTMAX, over boxes of whole lines along one axis.

use super::constants::{entry, entry_bytes, rounding, small};
use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::sram::{SramBump, cut, halvings};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QNode, QReduce, QSoftmax, Rounding};
use ptq_sim::{Command, Pool, PoolKind, Softmax, Sram, line_dims};

/// Lowers a reduction: rows of an image are the outer axes, its columns the reduced axis, its channels the inner ones.
pub(super) fn lower_reduce(l: &mut Lowering<'_>, node: &QNode, reduce: &QReduce) -> Lowered {
    let input = node.inputs[0];
    let [outer, extent, inner] = line_dims(&l.tensor(input).shape, reduce.axis);
    let table = reduce.requant.as_ref().map(|r| entry_bytes(r, 0).to_vec()).unwrap_or_default();
    let average = !table.is_empty();
    let template = Pool {
        ifm: Sram(0),
        constants: Sram(0),
        ofm: Sram(0),
        in_hwc: [0, field("reduced extent", extent)?, 0],
        out_hw: [0, 1],
        kernel: [1, field("reduced extent", extent)?],
        strides: [1, 1],
        dilations: [1, 1],
        pad_top: 0,
        pad_left: 0,
        first_taps: if average { field("taps", extent)? } else { 0 },
        taps: u32::from(average),
        kind: if average { PoolKind::Average } else { PoolKind::Max },
        elem: l.elem(input)?,
        rounding: reduce.requant.as_ref().map_or(Rounding::Fixed, rounding),
        x_zero: if average { l.zero(input)? } else { 0 },
        out_zero: small(reduce.out_zero)?,
    };
    boxes(l, node, [outer, extent, inner], 1, &table, |[rows, channels], [constants, ifm, ofm]| {
        let constants = if average { constants } else { Sram(0) };
        let in_hwc = [field("rows", rows)?, template.in_hwc[1], field("channels", channels)?];
        Ok(Command::Pool(Pool { ifm, constants, ofm, in_hwc, out_hw: [field("rows", rows)?, 1], ..template }))
    })
}

/// Lowers a Softmax.
pub(super) fn lower_softmax(l: &mut Lowering<'_>, node: &QNode, softmax: &QSoftmax) -> Lowered {
    let dims = line_dims(&l.tensor(node.inputs[0]).shape, softmax.axis);
    let table: Vec<u8> = softmax.table.iter().flat_map(|e| e.to_le_bytes()).collect();
    let (mul, shift) = entry(&softmax.requant, 0);
    let (elem, out_zero, rounding) = (l.elem(node.inputs[0])?, small(softmax.out_zero)?, rounding(&softmax.requant));
    boxes(l, node, dims, dims[1], &table, |[outer, inner], [table, x, ofm]| {
        let dims = [field("lines", outer)?, field("extent", dims[1])?, field("lines", inner)?];
        Ok(Command::Softmax(Softmax { x, table, ofm, dims, mul, out_zero, elem, rounding, shift }))
    })
}

/// Cuts `[outer, extent, inner]` into boxes of whole lines that fit together with the table: loads them, pushes their
/// command, stores `results` elements in each line's place.
fn boxes(
    l: &mut Lowering<'_>,
    node: &QNode,
    [outer, extent, inner]: [usize; 3],
    results: usize,
    table: &[u8],
    command: impl Fn([usize; 2], [Sram; 3]) -> Result<Command, Diagnostic>,
) -> Lowered {
    let target = l.target;
    // Extents of a command have 16 bits.
    let few = |&t: &usize| t <= usize::from(u16::MAX);
    let elem = l.elem(node.inputs[0])?.bytes();
    let bytes = |o: usize, i: usize| [table.len(), o * extent * i * elem, o * results * i * elem];
    let candidates = halvings(inner).filter(few).flat_map(|i| halvings(outer).filter(few).map(move |o| (o, i)));
    let found = candidates.into_iter().find_map(|(o, i)| SramBump::all(target, bytes(o, i)).map(|at| (o, i, at)));
    let Some((lines, chunk, places)) = found else {
        return Err(does_not_fit(target, "constants, one line in, its results", bytes(1, 1).iter().sum()));
    };
    let (x, y) = (l.place(node.inputs[0])?, l.result(node.outputs[0])?);
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    if !table.is_empty() {
        let constant = l.constant(table);
        l.load(BoxTransfer::linear(table.len()).ok_or_else(broken)?, constant, places[0]);
    }
    for (o0, o) in cut(outer, lines) {
        for (i0, i) in cut(inner, chunk) {
            let load = BoxTransfer::new(&[o, extent, i], &[extent * inner, inner, 1], elem).ok_or_else(broken)?;
            l.load(load, x.offset((o0 * extent * inner + i0) * elem), places[1]);
            l.push(command([o, i], places)?);
            let store = BoxTransfer::new(&[o, results, i], &[results * inner, inner, 1], elem).ok_or_else(broken)?;
            l.store(store, places[2], y.offset((o0 * results * inner + i0) * elem));
        }
    }
    Ok(vec![axis("outer lines", lines, outer), axis("inner lines", chunk, inner)])
}

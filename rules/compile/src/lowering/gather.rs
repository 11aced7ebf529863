//! Gather along one axis → GATHER: rows of an image are the outer axes, its columns the axis, its pixels the inner ones.

use super::resize::index_table;
use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::sram::{SramBump, cut, halvings};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QNode};
use ptq_sim::{Command, Gather, line_dims};

/// Lowers a table of indices.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, along: usize, indices: &[u32]) -> Lowered {
    let [outer, extent, inner] = line_dims(&l.tensor(node.inputs[0]).shape, along);
    let elem = l.elem(node.inputs[0])?.bytes();
    let results = indices.len();
    let target = l.target;
    let bytes = |o: usize, i: usize| [2 * o, 2 * results, o * extent * i * elem, o * results * i * elem];
    let few = |&t: &usize| t <= usize::from(u16::MAX);
    let candidates = halvings(inner).flat_map(|i| halvings(outer).filter(few).map(move |o| (o, i)));
    let found = candidates.into_iter().find_map(|(o, i)| SramBump::all(target, bytes(o, i)).map(|at| (o, i, at)));
    let Some((lines, chunk, [rows, cols, src, dst])) = found else {
        return Err(does_not_fit(target, "tables, one line in, one out", bytes(1, 1).iter().sum()));
    };
    let (x, y) = (l.place(node.inputs[0])?, l.result(node.outputs[0])?);
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    let same: Vec<u32> = (0..lines as u32).collect();
    for (table, at) in [(&same[..], rows), (indices, cols)] {
        let constant = index_table(l, table)?;
        l.load(BoxTransfer::linear(2 * table.len()).ok_or_else(broken)?, constant, at);
    }
    for (o0, o) in cut(outer, lines) {
        for (i0, i) in cut(inner, chunk) {
            let load = BoxTransfer::new(&[o, extent, i], &[extent * inner, inner, 1], elem).ok_or_else(broken)?;
            l.load(load, x.offset((o0 * extent * inner + i0) * elem), src);
            l.push(Command::Gather(Gather {
                src,
                dst,
                rows,
                cols,
                in_hw: [field("outer lines", o)?, field("extent", extent)?],
                out_hw: [field("outer lines", o)?, field("indices", results)?],
                row_base: 0,
                pixel_bytes: field("bytes", i * elem)?,
            }));
            let store = BoxTransfer::new(&[o, results, i], &[results * inner, inner, 1], elem).ok_or_else(broken)?;
            l.store(store, dst, y.offset((o0 * results * inner + i0) * elem));
        }
    }
    Ok(vec![axis("outer lines", lines, outer), axis("inner elements", chunk, inner)])
}

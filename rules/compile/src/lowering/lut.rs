//! Tables → LUT over runs of elements, whatever the shape.

use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::sram::{SramBump, cut, first_tile};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QLut, QNode};
use ptq_sim::{Command, Elem, Lut};

/// Bytes of a table of bytes for bytes.
pub(super) const TABLE_BYTES: usize = 256;

/// Lowers a table look-up.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, lut: &QLut) -> Lowered {
    let (x_type, out) = (l.elem(node.inputs[0])?, l.elem(node.outputs[0])?);
    let (from, to) = (x_type.bytes(), out.bytes());
    let total = l.bytes(node.inputs[0])? / from;
    let target = l.target;
    let bytes: Vec<u8> = lut.table.iter().flat_map(|v| v.to_le_bytes().into_iter().take(to)).collect();
    let fits = |t: &[usize]| SramBump::all(target, [bytes.len(), t[0] * from, t[0] * to]);
    let Some((tile, [table_at, ifm, ofm])) = first_tile(&[total], fits) else {
        return Err(does_not_fit(target, "table, one element in, one out", bytes.len() + from + to));
    };
    let (x, y) = (l.place(node.inputs[0])?, l.result(node.outputs[0])?);
    let words = u8::from(out == Elem::I16);
    let table = l.constant(&bytes);
    l.note(node, [table]);
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    l.load(BoxTransfer::linear(bytes.len()).ok_or_else(broken)?, table, table_at);
    for (start, count) in cut(total, tile[0]) {
        l.load(BoxTransfer::linear(count * from).ok_or_else(broken)?, x.offset(start * from), ifm);
        l.push(Command::Lut(Lut { ifm, table: table_at, ofm, count: field("elements", count)?, x_type, words }));
        l.store(BoxTransfer::linear(count * to).ok_or_else(broken)?, ofm, y.offset(start * to));
    }
    Ok(vec![axis("elements", tile[0], total)])
}

//! Tables → LUT over runs of elements, whatever the shape.

use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::sram::{SramBump, cut, first_tile};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QLut, QNode};
use ptq_sim::{Command, Lut};

/// Bytes of a table.
pub(super) const TABLE_BYTES: usize = 256;

/// Lowers a table look-up.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, lut: &QLut) -> Lowered {
    let total = l.bytes(node.inputs[0])?;
    let x_type = l.elem(node.inputs[0])?;
    let target = l.target;
    let fits = |t: &[usize]| SramBump::all(target, [TABLE_BYTES, t[0], t[0]]);
    let Some((tile, [table_at, ifm, ofm])) = first_tile(&[total], fits) else {
        return Err(does_not_fit(target, "table, one element in, one out", TABLE_BYTES + 2));
    };
    let (x, y) = (l.place(node.inputs[0])?, l.result(node.outputs[0])?);
    let bytes: Vec<u8> = lut.table.iter().map(|&v| v as u8).collect();
    let table = l.constant(&bytes);
    l.note(node, [table]);
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    l.load(BoxTransfer::linear(TABLE_BYTES).ok_or_else(broken)?, table, table_at);
    for (start, count) in cut(total, tile[0]) {
        let shape = BoxTransfer::linear(count).ok_or_else(broken)?;
        l.load(shape, x.offset(start), ifm);
        l.push(Command::Lut(Lut { ifm, table: table_at, ofm, count: field("elements", count)?, x_type }));
        l.store(shape, ofm, y.offset(start));
    }
    Ok(vec![axis("elements", tile[0], total)])
}

//! Requantize → ELTWISE: the larger of a tile and itself, both by the one multiplier, is the tile requantized. Needs no table, so
//! any width may come in and go out.

use super::constants::{entry, rounding, small};
use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::sram::{SramBump, cut, first_tile};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QNode, QRequantize, Requant};
use ptq_sim::{Command, ELTWISE_RANK, Elem, Eltwise, EltwiseKind, Sram};

/// What a tensor is before and behind.
#[derive(Clone, Copy)]
pub(super) struct Change<'r> {
    pub(super) from: Elem,
    pub(super) from_zero: i16,
    pub(super) to: Elem,
    pub(super) to_zero: i32,
    pub(super) requant: &'r Requant,
}

/// The command that changes `count` elements.
pub(super) fn command(change: Change<'_>, count: usize, ifm: Sram, ofm: Sram) -> Result<Command, Diagnostic> {
    let (mul, shift) = entry(change.requant, 0);
    let (lo, hi) = change.to.range();
    let mut dims = [1; ELTWISE_RANK];
    dims[ELTWISE_RANK - 1] = field("elements", count)?;
    Ok(Command::Eltwise(Eltwise {
        a: ifm,
        b: ifm,
        ofm,
        dims,
        mul_a: mul,
        mul_b: mul,
        a_zero: change.from_zero,
        b_zero: change.from_zero,
        out_zero: small(change.to_zero)?,
        clamp_lo: small(lo)?,
        clamp_hi: small(hi)?,
        broadcast: 0,
        kind: EltwiseKind::Max,
        a_type: change.from,
        b_type: change.from,
        out_type: change.to,
        rounding: rounding(change.requant),
        shift,
    }))
}

/// Lowers a change of scale or width.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, requantize: &QRequantize) -> Lowered {
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let change = Change {
        from: l.elem(input)?,
        from_zero: l.zero(input)?,
        to: l.elem(output)?,
        to_zero: requantize.out_zero,
        requant: &requantize.requant,
    };
    let (from, to) = (change.from.bytes(), change.to.bytes());
    let total = l.bytes(input)? / from;
    let target = l.target;
    let Some((tile, [ifm, ofm])) = first_tile(&[total], |t| SramBump::all(target, [t[0] * from, t[0] * to])) else {
        return Err(does_not_fit(target, "one element in, one out", from + to));
    };
    let (x, y) = (l.place(input)?, l.result(output)?);
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    for (start, count) in cut(total, tile[0]) {
        l.load(BoxTransfer::linear(count * from).ok_or_else(broken)?, x.offset(start * from), ifm);
        l.push(command(change, count, ifm, ofm)?);
        l.store(BoxTransfer::linear(count * to).ok_or_else(broken)?, ofm, y.offset(start * to));
    }
    Ok(vec![axis("elements", tile[0], total)])
}

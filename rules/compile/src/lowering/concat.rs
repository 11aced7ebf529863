//! Concat → transfers into the output's box, with a LUT where an input changes its scale.
//!
//! Requantizing 8 bits to 8 bits is a function of 256 values, so it is a table; from or to 16 bits it is an ELTWISE.

use super::lut::TABLE_BYTES;
use super::requantize::{Change, command};
use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::ddr::Place;
use crate::sram::{SramBump, cut, first_tile};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QConcat, QNode, Requant, TensorId};
use ptq_kernels::requant::{apply, store};
use ptq_sim::{Command, Elem, Lut, storage_axes, storage_dims};

/// Lowers a concatenation.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, concat: &QConcat) -> Lowered {
    let out = node.outputs[0];
    let out_dims = storage_dims(&l.tensor(out).shape);
    let axes = storage_axes(out_dims.len());
    let at = axes.iter().position(|&a| a == concat.axis).unwrap_or(0);
    let elem = l.elem(out)?;
    let out_run: usize = out_dims[at..].iter().product::<usize>() * elem.bytes();
    let y = l.result(out)?;
    let (mut start, mut plan) = (0, Vec::new());
    for (&input, requant) in node.inputs.iter().zip(&concat.requant) {
        let dims = storage_dims(&l.tensor(input).shape);
        let count: usize = dims[at..].iter().product();
        let (run, runs) = (count * elem.bytes(), dims[..at].iter().product());
        let from = l.elem(input)?;
        let tile = match requant {
            Some(requant) if from == Elem::I16 || elem == Elem::I16 => {
                let from_zero = l.zero(input)?;
                let change = Change { from, from_zero, to: elem, to_zero: concat.out_zero, requant };
                changed(l, input, [runs, count], y.offset(start), out_run, change)?
            }
            _ => {
                let table = requant.as_ref().map(|r| table(l, input, elem, r, concat.out_zero)).transpose()?;
                copy(l, input, [runs, run], y.offset(start), out_run, table)?
            }
        };
        plan.push(axis("runs", tile[0], runs));
        plan.push(axis("bytes", tile[1], run));
        start += run;
    }
    Ok(plan)
}

/// The table of `round((x - x_zero)·m) + out_zero`, saturated.
fn table(l: &Lowering<'_>, input: TensorId, out: Elem, requant: &Requant, zero: i32) -> Result<Vec<u8>, Diagnostic> {
    let x_zero = i32::from(l.zero(input)?);
    let ((lo, hi), (out_lo, out_hi)) = (l.elem(input)?.range(), out.range());
    Ok((lo..=hi).map(|q| store(apply(requant, 0, q - x_zero), zero, out_lo, out_hi) as u8).collect())
}

/// Copies `runs × run` bytes into a place whose runs are `out_run` bytes apart; returns the tile.
fn copy(
    l: &mut Lowering<'_>,
    input: TensorId,
    [runs, run]: [usize; 2],
    to: Place,
    out_run: usize,
    table: Option<Vec<u8>>,
) -> Result<[usize; 2], Diagnostic> {
    let x = l.place(input)?;
    let target = l.target;
    let fits = |t: &[usize]| {
        let bytes = t[0] * t[1];
        let lut = if table.is_some() { [TABLE_BYTES, bytes] } else { [0, 0] };
        SramBump::all(target, [bytes, lut[0], lut[1]])
    };
    let Some((tile, [ifm, table_at, ofm])) = first_tile(&[runs, run], fits) else {
        return Err(does_not_fit(target, "one element", TABLE_BYTES + 2));
    };
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    if let Some(bytes) = &table {
        let constant = l.constant(bytes);
        l.load(BoxTransfer::linear(TABLE_BYTES).ok_or_else(broken)?, constant, table_at);
    }
    let x_type = l.elem(input)?;
    for (r0, rows) in cut(runs, tile[0]) {
        for (b0, bytes) in cut(run, tile[1]) {
            let load = BoxTransfer::new(&[rows, bytes], &[run, 1], 1).ok_or_else(broken)?;
            l.load(load, x.offset(r0 * run + b0), ifm);
            let from = if table.is_some() {
                let count = field("elements", rows * bytes)?;
                l.push(Command::Lut(Lut { ifm, table: table_at, ofm, count, x_type, words: 0 }));
                ofm
            } else {
                ifm
            };
            let shape = BoxTransfer::new(&[rows, bytes], &[out_run, 1], 1).ok_or_else(broken)?;
            l.store(shape, from, to.offset(r0 * out_run + b0));
        }
    }
    Ok([tile[0], tile[1]])
}

/// As [`copy`], for `runs × count` elements that change their width or have 16 bits.
fn changed(
    l: &mut Lowering<'_>,
    input: TensorId,
    [runs, count]: [usize; 2],
    to: Place,
    out_run: usize,
    change: Change<'_>,
) -> Result<[usize; 2], Diagnostic> {
    let x = l.place(input)?;
    let (target, from_elem, to_elem) = (l.target, change.from.bytes(), change.to.bytes());
    let fits = |t: &[usize]| SramBump::all(target, [t[0] * t[1] * from_elem, t[0] * t[1] * to_elem]);
    let Some((tile, [ifm, ofm])) = first_tile(&[runs, count], fits) else {
        return Err(does_not_fit(target, "one element in, one out", from_elem + to_elem));
    };
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    for (r0, rows) in cut(runs, tile[0]) {
        for (c0, n) in cut(count, tile[1]) {
            let load = BoxTransfer::new(&[rows, n], &[count, 1], from_elem).ok_or_else(broken)?;
            l.load(load, x.offset((r0 * count + c0) * from_elem), ifm);
            l.push(command(change, rows * n, ifm, ofm)?);
            let store = BoxTransfer::new(&[rows, n], &[out_run / to_elem, 1], to_elem).ok_or_else(broken)?;
            l.store(store, ofm, to.offset(r0 * out_run + c0 * to_elem));
        }
    }
    Ok([tile[0], tile[1] * to_elem])
}

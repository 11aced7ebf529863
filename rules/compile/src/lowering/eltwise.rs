//! Operators of two operands → ELTWISE over tiles of at most three axes, operands broadcast.
//!
//! The output's stored axes are merged where neither operand is broadcast differently; what is left beyond three axes is
//! looped over. An operand whose axes are stored in another order (another rank) is permuted first.

use super::constants::{entry, rounding, small};
use super::permute::{Permutation, copy};
use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::ddr::Place;
use crate::sram::{SramBump, cut_all, first_tile};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QAdd, QDiv, QExtreme, QMul, QNode, TensorId, strides};
use ptq_sim::{Command, ELTWISE_RANK, Eltwise, EltwiseKind, Sram, storage_axes, storage_dims};

/// A merged axis of the output, and which operands are broadcast along it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    extent: usize,
    broadcast: [bool; 2],
}

/// Lowers a sum.
pub(super) fn lower_add(l: &mut Lowering<'_>, node: &QNode, add: &QAdd) -> Lowered {
    let ((mul_a, shift), (mul_b, _)) = (entry(&add.requant, 0), entry(&add.requant, 1));
    let fields = Eltwise {
        kind: EltwiseKind::Add,
        rounding: rounding(&add.requant),
        mul_a,
        mul_b,
        shift,
        out_zero: small(add.out_zero)?,
        clamp_lo: small(add.clamp_lo)?,
        clamp_hi: small(add.clamp_hi)?,
        ..blank(l, node)?
    };
    lower(l, node, fields)
}

/// Lowers a product.
pub(super) fn lower_mul(l: &mut Lowering<'_>, node: &QNode, mul: &QMul) -> Lowered {
    let (mul_a, shift) = entry(&mul.requant, 0);
    let fields = Eltwise {
        kind: EltwiseKind::Mul,
        rounding: rounding(&mul.requant),
        mul_a,
        shift,
        out_zero: small(mul.out_zero)?,
        clamp_lo: small(mul.clamp_lo)?,
        clamp_hi: small(mul.clamp_hi)?,
        ..blank(l, node)?
    };
    lower(l, node, fields)
}

/// Lowers a maximum or minimum.
pub(super) fn lower_extreme(l: &mut Lowering<'_>, node: &QNode, extreme: &QExtreme) -> Lowered {
    let ((mul_a, shift), (mul_b, _)) = (entry(&extreme.requant, 0), entry(&extreme.requant, 1));
    let fields = Eltwise {
        kind: if extreme.smaller { EltwiseKind::Min } else { EltwiseKind::Max },
        rounding: rounding(&extreme.requant),
        mul_a,
        mul_b,
        shift,
        out_zero: small(extreme.out_zero)?,
        ..blank(l, node)?
    };
    lower(l, node, fields)
}

/// Lowers a quotient.
pub(super) fn lower_div(l: &mut Lowering<'_>, node: &QNode, div: &QDiv) -> Lowered {
    let (mul_a, shift) = entry(&div.requant, 0);
    let fields = Eltwise {
        kind: EltwiseKind::Div,
        rounding: rounding(&div.requant),
        mul_a,
        shift,
        out_zero: small(div.out_zero)?,
        ..blank(l, node)?
    };
    lower(l, node, fields)
}

/// The command with types and zero points set, and the result's whole range.
fn blank(l: &Lowering<'_>, node: &QNode) -> Result<Eltwise, Diagnostic> {
    let (a, b) = (node.inputs[0], node.inputs[1]);
    let (lo, hi) = l.elem(node.outputs[0])?.range();
    Ok(Eltwise {
        a: Sram(0),
        b: Sram(0),
        ofm: Sram(0),
        dims: [1; ELTWISE_RANK],
        broadcast: 0,
        kind: EltwiseKind::Add,
        a_type: l.elem(a)?,
        b_type: l.elem(b)?,
        out_type: l.elem(node.outputs[0])?,
        rounding: ptq_ir::Rounding::Fixed,
        mul_a: 0,
        mul_b: 0,
        shift: 0,
        a_zero: l.zero(a)?,
        b_zero: l.zero(b)?,
        out_zero: 0,
        clamp_lo: small(lo)?,
        clamp_hi: small(hi)?,
    })
}

fn lower(l: &mut Lowering<'_>, node: &QNode, fields: Eltwise) -> Lowered {
    let axes = merged_axes(l, node);
    let out_dims: Vec<usize> = axes.iter().map(|a| a.extent).collect();
    let operands = [operand(l, node, 0)?, operand(l, node, 1)?];
    l.note(node, operands);
    let operand_strides = [0, 1].map(|i| {
        let dims: Vec<usize> = axes.iter().map(|a| if a.broadcast[i] { 1 } else { a.extent }).collect();
        strides(&dims)
    });
    let out_strides = strides(&out_dims);
    let inner = axes.len() - ELTWISE_RANK;
    let extents_of = |i: usize, t: &[usize]| -> Vec<usize> {
        t.iter().zip(&axes).map(|(&e, a)| if a.broadcast[i] { 1 } else { e }).collect()
    };
    let target = l.target;
    let [ea, eb, eo] = [fields.a_type, fields.b_type, fields.out_type].map(|e| e.bytes());
    let size = |t: &[usize]| {
        let count = |i: usize| extents_of(i, t).iter().product::<usize>();
        [count(0) * ea, count(1) * eb, t.iter().product::<usize>() * eo]
    };
    // Axes outside the command's three are always cut into single steps.
    let fits = |t: &[usize]| if t[..inner].iter().all(|&e| e == 1) { SramBump::all(target, size(t)) } else { None };
    let Some((tile, [a, b, ofm])) = first_tile(&out_dims, fits) else {
        return Err(does_not_fit(target, "one element of each operand and the result", ea + eb + eo));
    };
    let y = l.result(node.outputs[0])?;
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    for piece in cut_all(&out_dims, &tile) {
        let extents: Vec<usize> = piece.iter().map(|p| p.1).collect();
        for (i, at, elem) in [(0, a, ea), (1, b, eb)] {
            let start: usize = piece
                .iter()
                .zip(&axes)
                .zip(&operand_strides[i])
                .map(|((p, axis), s)| if axis.broadcast[i] { 0 } else { p.0 * s })
                .sum();
            let shape = BoxTransfer::new(&extents_of(i, &extents), &operand_strides[i], elem).ok_or_else(broken)?;
            l.load(shape, operands[i].offset(start * elem), at);
        }
        let command = command(fields, &axes[inner..], &extents[inner..], [a, b, ofm])?;
        l.push(Command::Eltwise(command));
        let start: usize = piece.iter().zip(&out_strides).map(|(p, s)| p.0 * s).sum();
        l.store(BoxTransfer::new(&extents, &out_strides, eo).ok_or_else(broken)?, ofm, y.offset(start * eo));
    }
    let named = tile.iter().zip(&out_dims).enumerate();
    Ok(named.map(|(i, (&t, &d))| axis(&format!("axis {i}"), t, d)).collect())
}

fn command(fields: Eltwise, axes: &[Axis], extents: &[usize], [a, b, ofm]: [Sram; 3]) -> Result<Eltwise, Diagnostic> {
    let mut dims = [1u32; ELTWISE_RANK];
    let mut broadcast = 0;
    for (i, (axis, &extent)) in axes.iter().zip(extents).enumerate() {
        dims[i] = field("extent", extent)?;
        for operand in 0..2 {
            broadcast |= u8::from(axis.broadcast[operand]) << (operand * ELTWISE_RANK + i);
        }
    }
    Ok(Eltwise { a, b, ofm, dims, broadcast, ..fields })
}

/// The output's stored axes, merged; at least three.
fn merged_axes(l: &Lowering<'_>, node: &QNode) -> Vec<Axis> {
    let out = &l.tensor(node.outputs[0]).shape;
    let rank = out.len();
    let is_broadcast = |id: TensorId, model_axis: usize| {
        let shape = &l.tensor(id).shape;
        (model_axis + shape.len()).checked_sub(rank).is_none_or(|a| shape[a] == 1) && out[model_axis] != 1
    };
    let mut axes: Vec<Axis> = Vec::new();
    for a in storage_axes(rank).into_iter().filter(|&a| out[a] != 1) {
        let broadcast = [is_broadcast(node.inputs[0], a), is_broadcast(node.inputs[1], a)];
        match axes.last_mut() {
            Some(last) if last.broadcast == broadcast => last.extent *= out[a],
            _ => axes.push(Axis { extent: out[a], broadcast }),
        }
    }
    let missing = ELTWISE_RANK.saturating_sub(axes.len());
    std::iter::repeat_n(Axis { extent: 1, broadcast: [false; 2] }, missing).chain(axes).collect()
}

/// Where an operand lies with its axes in the output's storage order.
fn operand(l: &mut Lowering<'_>, node: &QNode, i: usize) -> Result<Place, Diagnostic> {
    let id = node.inputs[i];
    let (shape, rank) = (l.tensor(id).shape.clone(), l.tensor(node.outputs[0]).shape.len());
    let place = l.place(id)?;
    let own = storage_axes(shape.len());
    let first = rank - shape.len();
    // The output's storage order, restricted to the operand's axes, as positions in the operand's own storage.
    let wanted = storage_axes(rank).into_iter().filter_map(|a| a.checked_sub(first));
    let perm: Vec<usize> = wanted.filter_map(|a| own.iter().position(|&o| o == a)).collect();
    let permutation = Permutation::new(&storage_dims(&shape), &perm);
    if permutation.is_identity() {
        return Ok(place);
    }
    let elem = l.elem(id)?;
    let bytes = l.bytes(id)?;
    let to = l.scratch(bytes);
    copy(l, &permutation, elem, place, to)?;
    Ok(to)
}

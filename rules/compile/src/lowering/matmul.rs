//! MatMul of two activations → MATMUL over rows and columns, operands and result in the model's axis order.

use super::constants::{entry, rounding, small};
use super::reshape::{from_model_order, in_model_order};
use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::sram::{SramBump, cut, halvings};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QMatMul, QNode};
use ptq_sim::{Command, MatMul, matrix_batches};

/// Lowers a matrix product.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, matmul: &QMatMul) -> Lowered {
    let (a, b, output) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let (shape_a, shape_b) = (l.tensor(a).shape.clone(), l.tensor(b).shape.clone());
    let rank = shape_a.len();
    let [m, k, n] = [shape_a[rank - 2], shape_a[rank - 1], shape_b[rank - 1]];
    let [ea, eb, eo] = [l.elem(a)?.bytes(), l.elem(b)?.bytes(), l.elem(output)?.bytes()];
    let bytes = |rows: usize, columns: usize| [rows * k * ea, k * columns * eb, rows * columns * eo];
    let candidates = halvings(n).flat_map(|c| halvings(m).map(move |r| (r, c)));
    let target = l.target;
    let found = candidates.into_iter().find_map(|(r, c)| SramBump::all(target, bytes(r, c)).map(|at| (r, c, at)));
    let Some((rows, columns, [a_at, b_at, ofm])) = found else {
        return Err(does_not_fit(target, "one row and one column", bytes(1, 1).iter().sum()));
    };
    let (mul, shift) = entry(&matmul.requant, 0);
    let (lo, hi) = l.elem(output)?.range();
    let template = MatMul {
        a: a_at,
        b: b_at,
        ofm,
        mkn: [1; 3],
        mul,
        a_zero: l.zero(a)?,
        b_zero: l.zero(b)?,
        out_zero: small(matmul.out_zero)?,
        clamp_lo: small(lo)?,
        clamp_hi: small(hi)?,
        a_type: l.elem(a)?,
        b_type: l.elem(b)?,
        out_type: l.elem(output)?,
        rounding: rounding(&matmul.requant),
        shift,
    };
    let (from_a, from_b) = (in_model_order(l, a)?, in_model_order(l, b)?);
    from_model_order(l, output, |l, y| {
        let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
        for (i, [at_a, at_b]) in matrix_batches(&shape_a, &shape_b).into_iter().enumerate() {
            for (n0, tn) in cut(n, columns) {
                let load = BoxTransfer::new(&[k, tn], &[n, 1], eb).ok_or_else(broken)?;
                l.load(load, from_b.offset((at_b * k * n + n0) * eb), b_at);
                for (m0, tm) in cut(m, rows) {
                    let load = BoxTransfer::linear(tm * k * ea).ok_or_else(broken)?;
                    l.load(load, from_a.offset((at_a * m + m0) * k * ea), a_at);
                    let mkn = [field("rows", tm)?, field("depth", k)?, field("columns", tn)?];
                    l.push(Command::MatMul(MatMul { mkn, ..template }));
                    let store = BoxTransfer::new(&[tm, tn], &[n, 1], eo).ok_or_else(broken)?;
                    l.store(store, ofm, y.offset(((i * m + m0) * n + n0) * eo));
                }
            }
        }
        Ok(vec![axis("rows", rows, m), axis("columns", columns, n)])
    })
}

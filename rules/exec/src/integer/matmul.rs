//! MatMul of two activations over the last two axes.

use super::arithmetic::index_map;
use super::operand::{Operand, bad, expect_entries, range, tensor};
use crate::ExecError;
use ptq_ir::{DType, QMatMul, QTensor, Tensor, broadcast_shapes, strides};
use ptq_kernels::requant::{apply, apply_wide, store};

pub(super) fn run(matmul: &QMatMul, operands: &[Operand<'_>], out: &QTensor) -> Result<Tensor, ExecError> {
    let [a, b] = operands else { return Err(bad(out, format!("{} operands instead of 2", operands.len()))) };
    expect_entries(out, &matmul.requant, 1)?;
    let ([batch_a @ .., m, k], [batch_b @ .., depth, n]) = (a.data.shape(), b.data.shape()) else {
        return Err(bad(out, "an operand is no matrix".into()));
    };
    let batch = broadcast_shapes(batch_a, batch_b).filter(|_| k == depth && batch_a.len() == batch_b.len());
    let batch = batch.ok_or_else(|| bad(out, format!("{:?} and {:?} do not fit", a.data.shape(), b.data.shape())))?;
    let (lo, hi) = range(out)?;
    let wide = a.info.dtype == DType::I16 || b.info.dtype == DType::I16;
    let (va, vb, za, zb) = (a.ints()?, b.ints()?, a.zero(), b.zero());
    let steps = strides(&batch);
    let (at_a, at_b) = (index_map(batch_a, &batch, &steps), index_map(batch_b, &batch, &steps));
    let mut y = Vec::new();
    for i in 0..batch.iter().product() {
        let (ra, rb) = (&va[at_a(i) * m * k..], &vb[at_b(i) * k * n..]);
        for (row, col) in (0..*m).flat_map(|row| (0..*n).map(move |col| (row, col))) {
            let factors = (0..*k).map(|j| (ra[row * k + j].wrapping_sub(za), rb[j * n + col].wrapping_sub(zb)));
            let rounded = if wide {
                let sum = factors.map(|(x, y)| i64::from(x) * i64::from(y)).sum();
                apply_wide(&matmul.requant, 0, sum)
            } else {
                let sum = factors.map(|(x, y)| x.wrapping_mul(y)).fold(0i32, i32::wrapping_add);
                apply(&matmul.requant, 0, sum)
            };
            y.push(store(rounded, matmul.out_zero, lo, hi));
        }
    }
    tensor(out, &[batch.as_slice(), &[*m, *n]].concat(), y)
}

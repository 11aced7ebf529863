//! MatMul of two activations.

use super::{Call, sign, zero_point};
use ptq_ir::QMatMul;
use ptq_kernels::{IntMatMul, KernelError};
use ptq_sim::{from_storage, matrix_batches, to_storage};

/// One product for every index of the outer axes, in the model's axis order.
pub(crate) fn matmul(call: &Call<'_>, matmul: &QMatMul, out: &mut [u8]) -> Result<(), KernelError> {
    let [a, b] = [0, 1].map(|i| from_storage(call.inputs[i], &call.input(i).shape, 1));
    let (shape_a, shape_b) = (&call.input(0).shape, &call.input(1).shape);
    let rank = shape_a.len();
    let [m, k, n] = [shape_a[rank - 2], shape_a[rank - 1], shape_b[rank - 1]];
    let kernel = IntMatMul {
        mkn: [m, k, n],
        sign: [0, 1].map(|i| sign(call.input(i))),
        zero: [0, 1].map(|i| zero_point(call.input(i))),
        requant: &matmul.requant,
        out_zero: matmul.out_zero,
        clamp: sign(call.output()).range(),
    };
    let mut y = vec![0; out.len()];
    for ([at_a, at_b], y) in matrix_batches(shape_a, shape_b).into_iter().zip(y.chunks_exact_mut((m * n).max(1))) {
        kernel.run(call.threads, &a[at_a * m * k..][..m * k], &b[at_b * k * n..][..k * n], y)?;
    }
    out.copy_from_slice(&to_storage(&y, &call.output().shape, 1));
    Ok(())
}

//! Reductions and Softmax along one axis.

use super::{Call, sign, zero_point};
use ptq_ir::{QReduce, QSoftmax};
use ptq_kernels::requant::{apply, quotient, store};
use ptq_kernels::{KernelError, byte_lines};
use ptq_sim::line_dims;

/// Sum, mean or maximum.
pub(crate) fn reduce(call: &Call<'_>, reduce: &QReduce, out: &mut [u8]) -> Result<(), KernelError> {
    let (sign, zero) = (sign(call.input(0)), zero_point(call.input(0)));
    let (lo, hi) = super::sign(call.output()).range();
    byte_lines(call.threads, call.inputs[0], line_dims(&call.input(0).shape, reduce.axis), 1, out, |line, out| {
        let values = line.iter().map(|&byte| sign.value(byte));
        out[0] = match &reduce.requant {
            None => values.fold(lo, i32::max) as u8,
            Some(requant) => {
                let sum = values.map(|v| v - zero).sum();
                store(apply(requant, 0, sum), reduce.out_zero, lo, hi) as u8
            }
        };
    })
}

/// Softmax.
pub(crate) fn softmax(call: &Call<'_>, softmax: &QSoftmax, out: &mut [u8]) -> Result<(), KernelError> {
    let sign = sign(call.input(0));
    let (lo, hi) = super::sign(call.output()).range();
    let dims = line_dims(&call.input(0).shape, softmax.axis);
    byte_lines(call.threads, call.inputs[0], dims, dims[1], out, |line, out| {
        let top = line.iter().map(|&byte| sign.value(byte)).max().unwrap_or(0);
        let part = |byte: u8| i64::from(softmax.table[(top - sign.value(byte)) as usize]);
        let sum = line.iter().map(|&byte| part(byte)).sum();
        for (o, &byte) in out.iter_mut().zip(line) {
            *o = store(quotient(&softmax.requant, part(byte), sum), softmax.out_zero, lo, hi) as u8;
        }
    })
}

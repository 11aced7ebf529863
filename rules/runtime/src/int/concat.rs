//! Concat, with requantization where an input has another scale.

use super::{Call, sign, zero_point};
use ptq_ir::{QConcat, Requant};
use ptq_kernels::{lookup, requant_table};
use ptq_sim::{storage_axes, storage_dims};
use std::borrow::Cow;

/// Concatenation along one axis.
pub(crate) fn concat(call: &Call<'_>, concat: &QConcat) -> Vec<u8> {
    let dims = storage_dims(&call.output().shape);
    let at = storage_axes(dims.len()).iter().position(|&a| a == concat.axis).unwrap_or(0);
    let elem = call.output().dtype.bytes();
    let run = |i: usize| storage_dims(&call.input(i).shape)[at..].iter().product::<usize>() * elem;
    let parts: Vec<(Cow<'_, [u8]>, usize)> =
        (0..call.inputs.len()).map(|i| (part(call, i, concat.requant[i].as_ref(), concat.out_zero), run(i))).collect();
    let mut out = Vec::with_capacity(dims.iter().product::<usize>() * elem);
    for row in 0..dims[..at].iter().product::<usize>() {
        parts.iter().for_each(|(part, run)| out.extend_from_slice(&part[row * run..(row + 1) * run]));
    }
    out
}

/// An input in the output's units.
fn part<'a>(call: &Call<'a>, i: usize, requant: Option<&Requant>, out_zero: i32) -> Cow<'a, [u8]> {
    let Some(requant) = requant else { return Cow::Borrowed(call.inputs[i]) };
    let (x, y) = (call.input(i), call.output());
    let table = requant_table(requant, sign(x), zero_point(x), out_zero, sign(y).range());
    let mut out = vec![0; call.inputs[i].len()];
    lookup(&table, call.inputs[i], &mut out);
    Cow::Owned(out)
}

//! Concat, with requantization where an input has another scale; Requantize alone.

use super::{Call, sign, zero_point};
use ptq_ir::{QConcat, QRequantize, Requant};
use ptq_kernels::{lookup, requant_table, split};
use ptq_sim::{storage_axes, storage_dims};

/// Concatenation along one axis.
pub(crate) fn concat(call: &Call<'_>, concat: &QConcat, out: &mut [u8]) {
    let rank = call.output().shape.len();
    let at = storage_axes(rank).iter().position(|&a| a == concat.axis).unwrap_or(0);
    let elem = call.output().dtype.bytes();
    let run = |shape: &[usize]| storage_dims(shape)[at..].iter().product::<usize>() * elem;
    let row = run(&call.output().shape);
    let tables: Vec<_> = (0..call.inputs.len())
        .map(|i| concat.requant[i].as_ref().map(|requant| table(call, i, requant, concat.out_zero)))
        .collect();
    split(call.threads, out.len() / 4, out, row, |start, out| {
        let mut first = 0;
        for (i, x) in call.inputs.iter().enumerate() {
            let own = run(&call.input(i).shape);
            let rows = x[start * own..].chunks_exact(own.max(1));
            for (to, from) in out.chunks_exact_mut(row.max(1)).zip(rows) {
                let to = &mut to[first..first + own];
                match &tables[i] {
                    Some(table) => lookup(call.isa, 1, table, from, to),
                    None => to.copy_from_slice(from),
                }
            }
            first += own;
        }
    });
}

/// Another scale or zero point for bytes.
pub(crate) fn requantize(call: &Call<'_>, requantize: &QRequantize, out: &mut [u8]) {
    lookup(call.isa, call.threads, &table(call, 0, &requantize.requant, requantize.out_zero), call.inputs[0], out);
}

/// From an input's units to the output's.
fn table(call: &Call<'_>, i: usize, requant: &Requant, out_zero: i32) -> [u8; 256] {
    let (x, y) = (call.input(i), call.output());
    requant_table(requant, sign(x), zero_point(x), out_zero, sign(y).range())
}

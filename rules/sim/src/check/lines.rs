//! Operators over whole lines: matrix products, reductions, Softmax.

use super::quant::{check_requant, check_result};
use super::{activation, same_shape, same_type, same_width, shape_is, values};
use ptq_ir::{QMatMul, QReduce, QSoftmax, QTensor, Reduction, broadcast_shapes};

/// Longest line: a sum of so many products of 9-bit numbers does not overflow 32 bits, one of so many parts of a Softmax or
/// products of 16-bit numbers not 64.
const LONGEST: usize = 8192;

pub(super) fn check_matmul(matmul: &QMatMul, [a, b]: [&QTensor; 2], output: &QTensor) -> Result<(), String> {
    activation(a)?;
    activation(b)?;
    let ([batch_a @ .., m, k], [batch_b @ .., depth, n]) = (a.shape.as_slice(), b.shape.as_slice()) else {
        return Err("an operand is no matrix".into());
    };
    let batch = broadcast_shapes(batch_a, batch_b).filter(|_| batch_a.len() == batch_b.len() && k == depth);
    let batch = batch.ok_or_else(|| format!("matrices {:?} and {:?} do not fit", a.shape, b.shape))?;
    check_line(*k)?;
    shape_is(output, &[batch.as_slice(), &[*m, *n]].concat())?;
    check_requant(&matmul.requant, &[1])?;
    let (lo, hi) = activation(output)?;
    check_result(output, matmul.out_zero, lo, hi)
}

pub(super) fn check_reduce(reduce: &QReduce, x: &QTensor, output: &QTensor) -> Result<(), String> {
    activation(x)?;
    same_type(x, output)?;
    check_line(extent(x, reduce.axis)?)?;
    let mut shape = x.shape.clone();
    shape[reduce.axis] = 1;
    shape_is(output, &shape)?;
    let (lo, hi) = activation(output)?;
    match (reduce.kind, &reduce.requant) {
        (Reduction::Max, None) if reduce.out_zero == 0 => Ok(()),
        (Reduction::Sum | Reduction::Mean, Some(requant)) => {
            check_requant(requant, &[1])?;
            check_result(output, reduce.out_zero, lo, hi)
        }
        _ => Err("multipliers do not fit the reduction".into()),
    }
}

pub(super) fn check_softmax(softmax: &QSoftmax, x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_width(x, output)?;
    same_shape(x, output)?;
    check_line(extent(x, softmax.axis)?)?;
    check_requant(&softmax.requant, &[1])?;
    let (lo, hi) = activation(output)?;
    check_result(output, softmax.out_zero, lo, hi)?;
    let largest = if x.dtype.bytes() == 1 { 1 << 20 } else { 1 << 30 };
    if softmax.table.len() != values(x)? || softmax.table.iter().any(|&e| e > largest) {
        return Err(format!("the table is not one number of at most {largest} for each difference"));
    }
    Ok(())
}

fn extent(x: &QTensor, axis: usize) -> Result<usize, String> {
    x.shape.get(axis).copied().ok_or_else(|| format!("axis {axis} is outside {:?}", x.shape))
}

fn check_line(extent: usize) -> Result<(), String> {
    if extent <= LONGEST { Ok(()) } else { Err(format!("a line of {extent} elements is longer than {LONGEST}")) }
}

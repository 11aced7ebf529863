//! Operators of two operands, and tables.

use super::quant::{check_requant, check_result};
use super::{activation, same_shape, shape_is, values};
use ptq_ir::{QAdd, QDiv, QExtreme, QLut, QMul, QTensor, Requant, broadcast_shapes};

fn check_operands([a, b]: [&QTensor; 2], output: &QTensor) -> Result<(), String> {
    activation(a)?;
    activation(b)?;
    let shape = broadcast_shapes(&a.shape, &b.shape)
        .ok_or_else(|| format!("shapes {:?} and {:?} do not broadcast", a.shape, b.shape))?;
    shape_is(output, &shape)
}

pub(super) fn check_add(add: &QAdd, inputs: [&QTensor; 2], output: &QTensor) -> Result<(), String> {
    check_operands(inputs, output)?;
    check_pair(&add.requant)?;
    check_result(output, add.out_zero, add.clamp_lo, add.clamp_hi)
}

/// Two multipliers with one shift.
fn check_pair(requant: &Requant) -> Result<(), String> {
    check_requant(requant, &[2])?;
    match requant {
        Requant::Fixed(m) if m[0].1 != m[1].1 => Err("the multipliers of two operands have different shifts".into()),
        _ => Ok(()),
    }
}

pub(super) fn check_extreme(extreme: &QExtreme, inputs: [&QTensor; 2], output: &QTensor) -> Result<(), String> {
    check_operands(inputs, output)?;
    check_pair(&extreme.requant)?;
    let (lo, hi) = activation(output)?;
    check_result(output, extreme.out_zero, lo, hi)
}

pub(super) fn check_div(div: &QDiv, inputs: [&QTensor; 2], output: &QTensor) -> Result<(), String> {
    check_operands(inputs, output)?;
    check_requant(&div.requant, &[1])?;
    let (lo, hi) = activation(output)?;
    check_result(output, div.out_zero, lo, hi)
}

pub(super) fn check_mul(mul: &QMul, inputs: [&QTensor; 2], output: &QTensor) -> Result<(), String> {
    check_operands(inputs, output)?;
    check_requant(&mul.requant, &[1])?;
    check_result(output, mul.out_zero, mul.clamp_lo, mul.clamp_hi)
}

pub(super) fn check_lut(lut: &QLut, x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_shape(x, output)?;
    let (lo, hi) = activation(output)?;
    if lut.table.len() != values(x)? || !lut.table.iter().all(|&v| (lo..=hi).contains(&i32::from(v))) {
        return Err(format!("the table is not one value of {} for each of {}", output.dtype, x.dtype));
    }
    Ok(())
}

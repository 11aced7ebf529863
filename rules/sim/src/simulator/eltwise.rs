//! ELTWISE.

use crate::memory::Memory;
use crate::{Eltwise, EltwiseKind, Sram, TrapKind};
use ptq_ir::Rounding;
use ptq_kernels::requant::{add_fixed, add_float, quotient_fixed, quotient_float, requant_fixed, requant_float, store};

/// Operand ranges as (start, bytes).
pub(crate) fn operands(c: &Eltwise) -> [(Sram, u64); 2] {
    let bytes =
        |i: usize, elem: usize| c.operand_dims(i).iter().map(|&d| u64::from(d)).fold(elem as u64, u64::saturating_mul);
    [(c.a, bytes(0, c.a_type.bytes())), (c.b, bytes(1, c.b_type.bytes()))]
}

/// Runs an element-wise operation.
pub(super) fn eltwise(c: &Eltwise, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [a, b] = operands(c);
    let a = sram.read(u64::from(a.0.0), a.1)?;
    let b = sram.read(u64::from(b.0.0), b.1)?;
    // A result larger than the whole memory cannot be stored; find out before making it.
    let dims = c.dims.map(u64::from);
    let elem = c.out_type.bytes();
    sram.bounds(u64::from(c.ofm.0), dims.iter().copied().fold(elem as u64, u64::saturating_mul))?;
    let (sa, sb) = (strides(c, 0), strides(c, 1));
    let dims = c.dims.map(|d| d as usize);
    let (ea, eb) = (c.a_type.bytes(), c.b_type.bytes());
    let mut out = Vec::with_capacity(dims.iter().product::<usize>() * elem);
    for i in 0..dims[0] {
        for j in 0..dims[1] {
            let (pa, pb) = (i * sa[0] + j * sa[1], i * sb[0] + j * sb[1]);
            for k in 0..dims[2] {
                let x = c.a_type.number(&a[(pa + k * sa[2]) * ea..]) - i32::from(c.a_zero);
                let y = c.b_type.number(&b[(pb + k * sb[2]) * eb..]) - i32::from(c.b_zero);
                let value = store(combine(c, x, y), c.out_zero.into(), c.clamp_lo.into(), c.clamp_hi.into());
                c.out_type.push(value, &mut out);
            }
        }
    }
    Ok(out)
}

fn combine(c: &Eltwise, x: i32, y: i32) -> i32 {
    let alone = |v: i32, m: u32| match c.rounding {
        Rounding::Fixed => requant_fixed(v.into(), m as i32, c.shift),
        Rounding::Float => requant_float(v, f32::from_bits(m)),
    };
    match (c.kind, c.rounding) {
        (EltwiseKind::Max, _) => alone(x, c.mul_a).max(alone(y, c.mul_b)),
        (EltwiseKind::Min, _) => alone(x, c.mul_a).min(alone(y, c.mul_b)),
        (EltwiseKind::Div, Rounding::Fixed) => quotient_fixed(x.into(), y.into(), c.mul_a as i32, c.shift),
        (EltwiseKind::Div, Rounding::Float) => quotient_float(x.into(), y.into(), f32::from_bits(c.mul_a)),
        (EltwiseKind::Add, Rounding::Fixed) => add_fixed(x, c.mul_a as i32, y, c.mul_b as i32, c.shift),
        (EltwiseKind::Add, Rounding::Float) => add_float(x, f32::from_bits(c.mul_a), y, f32::from_bits(c.mul_b)),
        (EltwiseKind::Mul, Rounding::Fixed) => requant_fixed(i64::from(x * y), c.mul_a as i32, c.shift),
        (EltwiseKind::Mul, Rounding::Float) => requant_float(x * y, f32::from_bits(c.mul_a)),
    }
}

/// Element strides of an operand's compact tile; 0 along broadcast axes.
fn strides(c: &Eltwise, operand: usize) -> [usize; 3] {
    let d = c.operand_dims(operand).map(|v| v as usize);
    let full = [d[1] * d[2], d[2], 1];
    std::array::from_fn(|i| if c.broadcast >> (operand * 3 + i) & 1 == 1 { 0 } else { full[i] })
}

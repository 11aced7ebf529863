//! MATMUL and SOFTMAX.

use crate::command::SOFTMAX_ENTRIES;
use crate::memory::Memory;
use crate::{Elem, MatMul, Softmax, Sram, TrapKind};
use ptq_ir::Rounding;
use ptq_kernels::requant::{quotient_fixed, quotient_float, requant_fixed, requant_float, store};

fn value(byte: u8, elem: Elem) -> i32 {
    if elem == Elem::I8 { i32::from(byte as i8) } else { i32::from(byte) }
}

/// Operand ranges of a product as (start, bytes).
pub(crate) fn matmul_operands(c: &MatMul) -> [(Sram, u64); 2] {
    let [m, k, n] = c.mkn.map(u64::from);
    [(c.a, m.saturating_mul(k)), (c.b, k.saturating_mul(n))]
}

/// Runs a product.
pub(super) fn matmul(c: &MatMul, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [a, b] = matmul_operands(c).map(|(at, bytes)| sram.read(u64::from(at.0), bytes));
    let (a, b) = (a?, b?);
    let [m, k, n] = c.mkn.map(|v| v as usize);
    sram.bounds(u64::from(c.ofm.0), u64::from(c.mkn[0]).saturating_mul(c.mkn[2].into()))?;
    let mut out = Vec::with_capacity(m * n);
    for row in a.chunks_exact(k) {
        for column in 0..n {
            let sum = row.iter().enumerate().fold(0i32, |s, (j, &x)| {
                let (x, y) = (value(x, c.a_type) - i32::from(c.a_zero), value(b[j * n + column], c.b_type));
                s.wrapping_add(x * (y - i32::from(c.b_zero)))
            });
            let rounded = match c.rounding {
                Rounding::Fixed => requant_fixed(sum.into(), c.mul as i32, c.shift),
                Rounding::Float => requant_float(sum, f32::from_bits(c.mul)),
            };
            out.push(store(rounded, c.out_zero.into(), c.clamp_lo.into(), c.clamp_hi.into()) as u8);
        }
    }
    Ok(out)
}

/// Operand ranges of a Softmax as (start, bytes).
pub(crate) fn softmax_operands(c: &Softmax) -> [(Sram, u64); 2] {
    [(c.x, c.dims.iter().fold(1u64, |n, &d| n.saturating_mul(d.into()))), (c.table, 4 * SOFTMAX_ENTRIES)]
}

/// Runs a Softmax.
pub(super) fn softmax(c: &Softmax, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [x, table] = softmax_operands(c).map(|(at, bytes)| sram.read(u64::from(at.0), bytes));
    let (x, table) = (x?, table?.as_chunks::<4>().0);
    sram.bounds(u64::from(c.ofm.0), x.len() as u64)?;
    let [_, extent, inner] = c.dims.map(|d| d as usize);
    let (lo, hi) = c.elem.range();
    let mut out = vec![0; x.len()];
    for (block, out) in x.chunks_exact(extent * inner).zip(out.chunks_exact_mut(extent * inner)) {
        for column in 0..inner {
            let line = || block.iter().skip(column).step_by(inner).map(|&byte| value(byte, c.elem));
            let top = line().max().unwrap_or(0);
            // Both are values of one 8-bit type, so the difference is an entry.
            let part = |v: i32| i64::from(u32::from_le_bytes(table[(top - v) as usize]));
            let sum: i64 = line().map(part).sum();
            for (o, v) in out.iter_mut().skip(column).step_by(inner).zip(line()) {
                let rounded = match c.rounding {
                    Rounding::Fixed => quotient_fixed(part(v), sum, c.mul as i32, c.shift),
                    Rounding::Float => quotient_float(part(v), sum, f32::from_bits(c.mul)),
                };
                *o = store(rounded, c.out_zero.into(), lo, hi) as u8;
            }
        }
    }
    Ok(out)
}

//! MATMUL and SOFTMAX.

use crate::memory::Memory;
use crate::{MatMul, Softmax, Sram, TrapKind};
use ptq_ir::Rounding;
use ptq_kernels::requant::{quotient_fixed, quotient_float, requant_fixed, requant_float_wide, store};

/// Operand ranges of a product as (start, bytes).
pub(crate) fn matmul_operands(c: &MatMul) -> [(Sram, u64); 2] {
    let [m, k, n] = c.mkn.map(u64::from);
    let bytes = |count: u64, elem: usize| count.saturating_mul(elem as u64);
    [(c.a, bytes(m.saturating_mul(k), c.a_type.bytes())), (c.b, bytes(k.saturating_mul(n), c.b_type.bytes()))]
}

/// Runs a product.
pub(super) fn matmul(c: &MatMul, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [a, b] = matmul_operands(c).map(|(at, bytes)| sram.read(u64::from(at.0), bytes));
    let (a, b) = (a?, b?);
    let [m, k, n] = c.mkn.map(|v| v as usize);
    let elem = c.out_type.bytes();
    sram.bounds(u64::from(c.ofm.0), u64::from(c.mkn[0]).saturating_mul(c.mkn[2].into()).saturating_mul(elem as u64))?;
    let mut out = Vec::with_capacity(m * n * elem);
    let b: Vec<i32> = c.b_type.numbers(b).map(|y| y - i32::from(c.b_zero)).collect();
    for row in a.chunks_exact(k * c.a_type.bytes()) {
        let row: Vec<i32> = c.a_type.numbers(row).map(|x| x - i32::from(c.a_zero)).collect();
        for column in 0..n {
            let sum = row.iter().enumerate().map(|(j, &x)| i64::from(x) * i64::from(b[j * n + column])).sum();
            let rounded = match c.rounding {
                Rounding::Fixed => requant_fixed(sum, c.mul as i32, c.shift),
                Rounding::Float => requant_float_wide(sum, f32::from_bits(c.mul)),
            };
            c.out_type.push(store(rounded, c.out_zero.into(), c.clamp_lo.into(), c.clamp_hi.into()), &mut out);
        }
    }
    Ok(out)
}

/// Operand ranges of a Softmax as (start, bytes).
pub(crate) fn softmax_operands(c: &Softmax) -> [(Sram, u64); 2] {
    let elem = c.elem.bytes() as u64;
    [(c.x, c.dims.iter().fold(elem, |n, &d| n.saturating_mul(d.into()))), (c.table, c.table_bytes())]
}

/// Runs a Softmax.
pub(super) fn softmax(c: &Softmax, sram: &Memory) -> Result<Vec<u8>, TrapKind> {
    let [x, table] = softmax_operands(c).map(|(at, bytes)| sram.read(u64::from(at.0), bytes));
    let (x, table) = (x?, table?.as_chunks::<4>().0);
    sram.bounds(u64::from(c.ofm.0), x.len() as u64)?;
    let [_, extent, inner] = c.dims.map(|d| d as usize);
    let (lo, hi) = c.elem.range();
    let x: Vec<i32> = c.elem.numbers(x).collect();
    let mut results = vec![0; x.len()];
    for (block, out) in x.chunks_exact(extent * inner).zip(results.chunks_exact_mut(extent * inner)) {
        for column in 0..inner {
            let line = || block.iter().skip(column).step_by(inner).copied();
            let top = line().max().unwrap_or(0);
            // Both are values of one type, so the difference is an entry.
            let part = |v: i32| i64::from(u32::from_le_bytes(table[(top - v) as usize]));
            let sum: i64 = line().map(part).sum();
            for (o, v) in out.iter_mut().skip(column).step_by(inner).zip(line()) {
                let rounded = match c.rounding {
                    Rounding::Fixed => quotient_fixed(part(v), sum, c.mul as i32, c.shift),
                    Rounding::Float => quotient_float(part(v), sum, f32::from_bits(c.mul)),
                };
                *o = store(rounded, c.out_zero.into(), lo, hi);
            }
        }
    }
    let mut out = Vec::with_capacity(results.len() * c.elem.bytes());
    results.into_iter().for_each(|v| c.elem.push(v, &mut out));
    Ok(out)
}

//! Operators of two operands, and tables.

use super::moves::gather;
use super::{Call, sign, zero_point};
use ptq_ir::{QAdd, QDiv, QExtreme, QLut, QMul, Requant};
use ptq_kernels::requant::{apply, quotient, store};
use ptq_kernels::{IntAdd, IntMul, KernelError, Sign, byte_pairs, lookup};
use ptq_sim::{storage_axes, storage_dims};
use std::borrow::Cow;

/// Element-wise sum with broadcasting.
pub(crate) fn add(call: &Call<'_>, add: &QAdd, out: &mut [u8]) -> Result<(), KernelError> {
    binary(call, out, |order, a, b, out| {
        let requant = match (&add.requant, order) {
            (Requant::Float(m), [1, _]) => Requant::Float(vec![m[1], m[0]]),
            (Requant::Fixed(m), [1, _]) => Requant::Fixed(vec![m[1], m[0]]),
            (in_order, _) => in_order.clone(),
        };
        let kernel = IntAdd {
            sign: order.map(|i| sign(call.input(i))),
            zero: order.map(|i| zero_point(call.input(i))),
            requant: &requant,
            out_zero: add.out_zero,
            clamp: (add.clamp_lo, add.clamp_hi),
        };
        kernel.run(call.isa, call.threads, a, b, out)
    })
}

/// Element-wise product with broadcasting.
pub(crate) fn mul(call: &Call<'_>, mul: &QMul, out: &mut [u8]) -> Result<(), KernelError> {
    binary(call, out, |order, a, b, out| {
        let kernel = IntMul {
            sign: order.map(|i| sign(call.input(i))),
            zero: order.map(|i| zero_point(call.input(i))),
            requant: &mul.requant,
            out_zero: mul.out_zero,
            clamp: (mul.clamp_lo, mul.clamp_hi),
        };
        kernel.run(call.isa, call.threads, a, b, out)
    })
}

/// Element-wise larger or smaller operand with broadcasting.
pub(crate) fn extreme(call: &Call<'_>, extreme: &QExtreme, out: &mut [u8]) -> Result<(), KernelError> {
    plain(call, out, |a, b| {
        let (a, b) = (apply(&extreme.requant, 0, a), apply(&extreme.requant, 1, b));
        (if extreme.smaller { a.min(b) } else { a.max(b) }, extreme.out_zero)
    })
}

/// Element-wise quotient with broadcasting.
pub(crate) fn div(call: &Call<'_>, div: &QDiv, out: &mut [u8]) -> Result<(), KernelError> {
    plain(call, out, |a, b| (quotient(&div.requant, a.into(), b.into()), div.out_zero))
}

/// Any function of two numbers without their zero points: a rounded result and the zero point to add. Saturates.
fn plain(call: &Call<'_>, out: &mut [u8], f: impl Fn(i32, i32) -> (i32, i32) + Copy + Sync) -> Result<(), KernelError> {
    let [sa, sb] = [0, 1].map(|i| sign(call.input(i)));
    let [za, zb] = [0, 1].map(|i| zero_point(call.input(i)));
    let (lo, hi) = sign(call.output()).range();
    binary(call, out, |order, x, y, out| {
        byte_pairs(call.isa, call.threads, x, y, out, |x, y| {
            let (a, b) = if order == [0, 1] { (x, y) } else { (y, x) };
            let (rounded, zero) = f(sa.value(a) - za, sb.value(b) - zb);
            store(rounded, zero, lo, hi) as u8
        })
    })
}

/// Brings both operands into the result's order and calls `run(order of the operands, a, b, result)` with an `a` of
/// full size and a `b` that is repeated to it.
pub(super) fn binary(
    call: &Call<'_>,
    out: &mut [u8],
    run: impl Fn([usize; 2], &[u8], &[u8], &mut [u8]) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    let (a, b) = (aligned(call, 0), aligned(call, 1));
    let count = out.len() / call.output().dtype.bytes();
    let [ea, eb] = [0, 1].map(|i| call.input(i).dtype.bytes());
    if a.len() == count * ea {
        run([0, 1], &a, &b, out)
    } else if b.len() == count * eb {
        run([1, 0], &b, &a, out)
    } else {
        let full: Vec<u8> = a.iter().copied().cycle().take(count * ea).collect();
        run([0, 1], &full, &b, out)
    }
}

/// An operand's bytes such that repeating them gives its broadcast form in the result's storage order: the operand
/// itself where it only lacks outer axes, otherwise a copy.
fn aligned<'a>(call: &Call<'a>, i: usize) -> Cow<'a, [u8]> {
    let (shape, out) = (&call.input(i).shape, &call.output().shape);
    let own_axes = storage_axes(shape.len());
    let own_strides = ptq_ir::strides(&storage_dims(shape));
    let missing = out.len() - shape.len();
    // Stride in the operand along each stored axis of the result; 0 where it is broadcast.
    let stride = |axis: usize| match axis.checked_sub(missing) {
        Some(a) if shape[a] != 1 => own_axes.iter().position(|&o| o == a).map_or(0, |p| own_strides[p]),
        _ => 0,
    };
    let strides: Vec<usize> = storage_axes(out.len()).into_iter().map(stride).collect();
    let dims = storage_dims(out);
    let natural = ptq_ir::strides(&dims);
    // Axes of extent 1 have any stride.
    let mut moving = (0..dims.len()).filter(|&d| dims[d] != 1).skip_while(|&d| strides[d] == 0);
    if moving.all(|d| strides[d] == natural[d]) {
        return Cow::Borrowed(call.inputs[i]);
    }
    let elem = call.input(i).dtype.bytes();
    let mut out = vec![0; dims.iter().product::<usize>() * elem];
    gather(call.threads, call.inputs[i], &dims, &strides, elem, &mut out);
    Cow::Owned(out)
}

/// Table look-up.
pub(crate) fn lut(call: &Call<'_>, lut: &QLut, out: &mut [u8]) {
    // The kernel's table is in the order of the input's bytes.
    let flip = if sign(call.input(0)) == Sign::Signed { 0x80 } else { 0 };
    let table: [u8; 256] = std::array::from_fn(|byte| lut.table[byte ^ flip] as u8);
    lookup(call.isa, call.threads, &table, call.inputs[0], out);
}

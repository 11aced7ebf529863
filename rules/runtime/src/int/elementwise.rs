//! Add, Mul and tables.

use super::Call;
use super::element::{Element, Pairwise, for_types, with_element};
use ptq_ir::{QAdd, QLut, QMul, Requant, Tensor, TensorError};
use ptq_kernels::requant::{add_fixed, add_float, requant_fixed, requant_float, store};

/// Element-wise sum with broadcasting.
pub(crate) fn add(call: &Call<'_>, add: &QAdd) -> Result<Tensor, TensorError> {
    let clamp = (add.out_zero, add.clamp_lo, add.clamp_hi);
    match &add.requant {
        Requant::Float(m) => {
            let (ma, mb) = (m[0], m[1]);
            binary(call, clamp, move |a, b| add_float(a, ma, b, mb))
        }
        Requant::Fixed(m) => {
            let ((ma, shift), (mb, _)) = (m[0], m[1]);
            binary(call, clamp, move |a, b| add_fixed(a, ma, b, mb, shift))
        }
    }
}

/// Element-wise product with broadcasting.
pub(crate) fn mul(call: &Call<'_>, mul: &QMul) -> Result<Tensor, TensorError> {
    let clamp = (mul.out_zero, mul.clamp_lo, mul.clamp_hi);
    match &mul.requant {
        Requant::Float(m) => {
            let m = m[0];
            binary(call, clamp, move |a, b| requant_float(a * b, m))
        }
        Requant::Fixed(m) => {
            let (mult, shift) = m[0];
            binary(call, clamp, move |a, b| requant_fixed(i64::from(a * b), mult, shift))
        }
    }
}

fn binary(
    call: &Call<'_>,
    clamp: (i32, i32, i32),
    op: impl Fn(i32, i32) -> i32,
) -> Result<Tensor, TensorError> {
    let out = call.output();
    let work = Binary { call, clamp, op };
    for_types(work, call.inputs[0].dtype(), call.inputs[1].dtype()).and_then(|t| {
        // Both operand types are handled; the result is made as i32 and narrowed to the declared type here.
        let wide = t.into_i32s()?;
        with_element!(out.dtype, E => E::tensor(&out.shape, wide.into_iter().map(E::narrow).collect()))
    })
}

struct Binary<'a, F> {
    call: &'a Call<'a>,
    clamp: (i32, i32, i32),
    op: F,
}

impl<F: Fn(i32, i32) -> i32> Pairwise for Binary<'_, F> {
    fn run<X: Element, Y: Element>(self) -> Result<Tensor, TensorError> {
        let shape = &self.call.output().shape;
        let (ta, tb) = (self.call.inputs[0], self.call.inputs[1]);
        let (a, b) = (X::slice(ta)?, Y::slice(tb)?);
        let (za, zb) = (self.call.zero(0), self.call.zero(1));
        let (zero, lo, hi) = self.clamp;
        let value = |x: X, y: Y| store((self.op)(x.wide() - za, y.wide() - zb), zero, lo, hi);
        let mut out = Vec::with_capacity(shape.iter().product());
        if ta.shape() == shape && tb.shape() == shape {
            out.extend(a.iter().zip(b).map(|(&x, &y)| value(x, y)));
        } else {
            let (sa, sb) = (broadcast_strides(ta.shape(), shape), broadcast_strides(tb.shape(), shape));
            let inner = shape.last().copied().unwrap_or(1);
            let (ia, ib) = (sa.last().copied().unwrap_or(0), sb.last().copied().unwrap_or(0));
            for_rows(shape, [&sa, &sb], |[pa, pb]| {
                out.extend((0..inner).map(|i| value(a[pa + i * ia], b[pb + i * ib])));
            });
        }
        Tensor::from_i32(shape.clone(), out)
    }
}

/// Element strides of an operand along the result's axes; 0 where it is broadcast.
fn broadcast_strides(operand: &[usize], result: &[usize]) -> Vec<usize> {
    let missing = result.len() - operand.len();
    let own = ptq_ir::strides(operand);
    (0..result.len()).map(|d| if d < missing || operand[d - missing] == 1 { 0 } else { own[d - missing] }).collect()
}

/// Calls `f` with both operands' offsets for every row (last axis) of the result.
fn for_rows(shape: &[usize], strides: [&[usize]; 2], mut f: impl FnMut([usize; 2])) {
    let outer = &shape[..shape.len().saturating_sub(1)];
    let mut index = vec![0; outer.len()];
    loop {
        f(strides.map(|s| index.iter().zip(s).map(|(i, s)| i * s).sum()));
        let Some(axis) = (0..outer.len()).rev().find(|&d| index[d] + 1 < outer[d]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// Table look-up.
pub(crate) fn lut(call: &Call<'_>, lut: &QLut) -> Result<Tensor, TensorError> {
    struct Lookup<'a>(&'a Call<'a>, &'a QLut);
    impl Pairwise for Lookup<'_> {
        fn run<X: Element, Y: Element>(self) -> Result<Tensor, TensorError> {
            let Lookup(call, lut) = self;
            let table: Vec<Y> = lut.table.iter().map(|&v| Y::narrow(v.into())).collect();
            let lowest = X::LOWEST.wide();
            let look = |q: &X| table[(q.wide() - lowest) as usize];
            Y::tensor(&call.output().shape, X::slice(call.inputs[0])?.iter().map(look).collect())
        }
    }
    for_types(Lookup(call, lut), call.inputs[0].dtype(), call.output().dtype)
}

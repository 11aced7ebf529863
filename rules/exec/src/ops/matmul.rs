//! MatMul (batched, broadcasting) and Gemm.

use crate::ExecError;
use crate::broadcast::{common_shape, steps_within};
use crate::call::Call;
use crate::loops::{Loops, strided};
use crate::ops::transpose::permuted;
use ptq_ir::Tensor;
use ptq_ir::ops::GemmAttrs;
use ptq_kernels::{Isa, Start, matmul as product};

/// NumPy `matmul`: matrices in the last two axes, the axes before broadcast.
pub(super) fn matmul(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if a.shape().is_empty() || b.shape().is_empty() {
        return Err(call.bad("scalars have no matrix product"));
    }
    // Vectors become a row and a column.
    let a2 = if a.shape().len() == 1 { a.reshaped([1, a.len()])? } else { a.clone() };
    let b2 = if b.shape().len() == 1 { b.reshaped([b.len(), 1])? } else { b.clone() };
    let ([lead_a @ .., m, k], [lead_b @ .., k2, n]) = (a2.shape(), b2.shape()) else {
        return Err(call.bad("operands have no matrix axes"));
    };
    let (m, k, n) = (*m, *k, *n);
    if k != *k2 {
        return Err(call.bad(format!("shapes {:?} and {:?} do not fit", a.shape(), b.shape())));
    }
    let lead = common_shape(call, &[lead_a, lead_b])?;
    let mut shape = lead.clone();
    shape.extend([m, n]);
    let mut out = vec![0.0; call.bounded(&shape)?];
    let (x, y) = (a2.f32s()?, b2.f32s()?);
    if n == 1 || m == 1 || !lead_b.iter().all(|&d| d == 1) || lead_a.len() < lead_b.len() {
        batches(&lead, lead_a, lead_b, [m, k, n], x, y, &mut out)?;
    } else {
        // One right operand for all: the rows of all left operands are one matrix.
        let rows = lead.iter().product::<usize>() * m;
        product(Isa::best(), 1, [rows, k, n], x, y, Start::Zero, &mut out)?;
    }
    if a.shape().len() == 1 {
        shape.remove(shape.len() - 2);
    }
    if b.shape().len() == 1 {
        shape.pop();
    }
    Ok(Tensor::from_f32(shape, out)?)
}

/// One product for each index of the leading axes.
fn batches(
    lead: &[usize],
    lead_a: &[usize],
    lead_b: &[usize],
    [m, k, n]: [usize; 3],
    x: &[f32],
    y: &[f32],
    out: &mut [f32],
) -> Result<(), ExecError> {
    let steps = |shape: &[usize]| steps_within(shape, lead);
    let loops = Loops::new(lead, [&steps(lead_a), &steps(lead_b)]);
    let mut starts = Vec::with_capacity(lead.iter().product());
    loops.rows([0, 0], |[i, j]| {
        for t in 0..loops.inner as isize {
            starts.push(((i + t * loops.steps[0]) as usize, (j + t * loops.steps[1]) as usize));
        }
    });
    for ((i, j), z) in starts.into_iter().zip(out.chunks_exact_mut((m * n).max(1))) {
        let (x, y) = (&x[i * m * k..(i + 1) * m * k], &y[j * k * n..(j + 1) * k * n]);
        product(Isa::best(), 1, [m, k, n], x, y, Start::Zero, z)?;
    }
    Ok(())
}

/// `alpha · A' · B' + beta · C`. With `alpha = 1` the chains start from `beta · C`, as those of a Conv do from its bias.
pub(super) fn gemm(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let attrs = GemmAttrs::of(&call.node());
    let turned = |t: &Tensor, on: bool| if on { permuted(t, &[1, 0]) } else { Ok(t.clone()) };
    let (a, b) = (call.input(0)?, call.input(1)?);
    if a.shape().len() != 2 || b.shape().len() != 2 {
        return Err(call.bad(format!("ranks {} and {} instead of 2", a.shape().len(), b.shape().len())));
    }
    let (a, b) = (turned(a, attrs.trans_a)?, turned(b, attrs.trans_b)?);
    let (m, k, n) = (a.shape()[0], a.shape()[1], b.shape()[1]);
    if b.shape()[0] != k {
        return Err(call.bad(format!("shapes {:?} and {:?} do not fit", a.shape(), b.shape())));
    }
    let addend = match call.optional(2) {
        None => vec![0.0; call.bounded(&[m, n])?],
        Some(c) => {
            if c.shape().len() > 2 || common_shape(call, &[&[m, n], c.shape()])? != [m, n] {
                return Err(call.bad(format!("addend {:?} does not broadcast to {m}x{n}", c.shape())));
            }
            let c = strided(c.f32s()?, &[m, n], 0, &steps_within(c.shape(), &[m, n]));
            if attrs.beta == 1.0 { c } else { c.into_iter().map(|v| attrs.beta * v).collect() }
        }
    };
    if attrs.alpha == 1.0 {
        let mut out = addend;
        product(Isa::best(), 1, [m, k, n], a.f32s()?, b.f32s()?, Start::Out, &mut out)?;
        return Ok(Tensor::from_f32([m, n], out)?);
    }
    let mut out = vec![0.0; m * n];
    product(Isa::best(), 1, [m, k, n], a.f32s()?, b.f32s()?, Start::Zero, &mut out)?;
    let data = out.iter().zip(&addend).map(|(p, c)| attrs.alpha * p + c).collect();
    Ok(Tensor::from_f32([m, n], data)?)
}

//! Concat, with requantization where an input has another scale.

use super::Call;
use super::element::{Element, with_element};
use ptq_ir::{QConcat, Requant, Tensor, TensorError};
use ptq_kernels::requant::{apply, store};

/// Concatenation along one axis.
pub(crate) fn concat(call: &Call<'_>, concat: &QConcat) -> Result<Tensor, TensorError> {
    let shape = &call.output().shape;
    with_element!(call.output().dtype, E => {
        let parts = call.inputs.iter().zip(&concat.requant).enumerate();
        let parts = parts.map(|(i, (x, r))| part::<E>(call, i, x, r.as_ref(), concat.out_zero));
        let parts: Vec<Vec<E>> = parts.collect::<Result<_, _>>()?;
        let inner = |i: usize| call.inputs[i].shape()[concat.axis..].iter().product::<usize>();
        let outer: usize = shape[..concat.axis].iter().product();
        let mut out = Vec::with_capacity(shape.iter().product());
        for row in 0..outer {
            for (i, part) in parts.iter().enumerate() {
                out.extend_from_slice(&part[row * inner(i)..(row + 1) * inner(i)]);
            }
        }
        E::tensor(shape, out)
    })
}

/// An input in the output's units.
fn part<E: Element>(
    call: &Call<'_>,
    i: usize,
    x: &Tensor,
    requant: Option<&Requant>,
    out_zero: i32,
) -> Result<Vec<E>, TensorError> {
    let Some(requant) = requant else { return Ok(E::slice(x)?.to_vec()) };
    let zero = call.zero(i);
    let (lo, hi) = call.output().dtype.quant_range().unwrap_or((i32::MIN, i32::MAX));
    with_element!(x.dtype(), X => {
        let scaled = |q: &X| E::narrow(store(apply(requant, 0, q.wide() - zero), out_zero, lo, hi));
        Ok(X::slice(x)?.iter().map(scaled).collect())
    })
}

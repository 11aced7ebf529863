//! Gather: slices picked by index along one axis.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use ptq_ir::Tensor;

pub(super) fn gather(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(call.attrs.int("axis", 0), x.shape().len())?;
    let extent = x.shape()[axis];
    let picks = indices
        .to_i64s()?
        .into_iter()
        .map(|i| ptq_ir::ops::axis(i, extent).ok_or_else(|| call.bad(format!("index {i} is outside extent {extent}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let mut shape = x.shape()[..axis].to_vec();
    shape.extend_from_slice(indices.shape());
    shape.extend_from_slice(&x.shape()[axis + 1..]);
    call.bounded(&shape)?;
    each_type!(x, v => picked(v, x.shape(), axis, &picks, &shape))
}

/// Slices of `v`, a tensor of shape `from`, at `picks` along an axis.
pub(super) fn picked<T: Element>(
    v: &[T],
    from: &[usize],
    axis: usize,
    picks: &[usize],
    shape: &[usize],
) -> Result<Tensor, ExecError> {
    let outer: usize = from[..axis].iter().product();
    let inner: usize = from[axis + 1..].iter().product();
    let mut out = Vec::with_capacity(outer * picks.len() * inner);
    for o in 0..outer {
        for &i in picks {
            let at = (o * from[axis] + i) * inner;
            out.extend_from_slice(&v[at..at + inner]);
        }
    }
    Ok(T::tensor(shape, out)?)
}

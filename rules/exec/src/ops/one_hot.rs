//! OneHot: a new axis that is `on` at each index and `off` elsewhere.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use ptq_ir::Tensor;

/// Indices outside `-depth..depth` give `off` everywhere.
pub(super) fn one_hot(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (indices, values) = (call.input(0)?, call.input(2)?);
    let depth = match call.input(1)?.to_f64s().as_slice() {
        &[d] if d >= 1.0 => d as usize,
        _ => return Err(call.bad("depth must be one positive number")),
    };
    if values.len() != 2 {
        return Err(call.bad("values must be off and on"));
    }
    let rank = indices.shape().len() + 1;
    let axis = call.axis(call.attrs.int("axis", -1), rank)?;
    let mut shape = indices.shape().to_vec();
    shape.insert(axis, depth);
    call.bounded(&shape)?;
    let picks: Vec<Option<usize>> = indices.to_f64s().into_iter().map(|i| ptq_ir::ops::axis(i as i64, depth)).collect();
    each_type!(values, v => marked(v, &picks, &shape, axis))
}

fn marked<T: Element>(
    values: &[T],
    picks: &[Option<usize>],
    shape: &[usize],
    axis: usize,
) -> Result<Tensor, ExecError> {
    let inner: usize = shape[axis + 1..].iter().product();
    let mut out = vec![values[0]; shape.iter().product()];
    for (i, pick) in picks.iter().enumerate() {
        if let Some(pick) = pick {
            out[(i / inner * shape[axis] + pick) * inner + i % inner] = values[1];
        }
    }
    Ok(T::tensor(shape, out)?)
}

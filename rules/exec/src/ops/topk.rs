//! TopK: the largest or smallest elements along an axis; among equal ones the first.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_number};
use ptq_ir::{Tensor, ops};

/// Values and indices, always in order.
pub(super) fn top_k(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    each_number!(call.input(0)?,
        v => float best(call, v),
        int best(call, v),
        other Err(call.bad("truth values have no order")))
}

fn best<T: Element>(call: &Call<'_>, v: &[T]) -> Result<Vec<Tensor>, ExecError> {
    let shape = call.input(0)?.shape();
    let axis = call.axis(call.attrs.int("axis", -1), shape.len())?;
    let (extent, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let k = match call.input(1)?.to_i64s()?.as_slice() {
        &[k] => usize::try_from(k).ok().filter(|&k| k <= extent),
        _ => None,
    };
    let k = k.ok_or_else(|| call.bad(format!("k does not fit extent {extent}")))?;
    let largest = call.attrs.int("largest", 1) != 0;
    let mut out_shape = shape.to_vec();
    out_shape[axis] = k;
    let count = call.bounded(&out_shape)?;
    let (mut values, mut indices) = (vec![T::default(); count], vec![0i64; count]);
    let mut order: Vec<usize> = Vec::with_capacity(extent);
    for line in 0..v.len().checked_div(extent).unwrap_or(0) {
        let (outer, column) = (line / inner, line % inner);
        let at = |i: usize| v[(outer * extent + i) * inner + column];
        order.clear();
        order.extend(0..extent);
        order.sort_by(|&a, &b| {
            let ordering = ops::ordered(&at(a), &at(b));
            if largest { ordering.reverse() } else { ordering }
        });
        for (rank, &i) in order.iter().take(k).enumerate() {
            let to = (outer * k + rank) * inner + column;
            (values[to], indices[to]) = (at(i), i as i64);
        }
    }
    Ok(vec![T::tensor(&out_shape, values)?, Tensor::from_i64(out_shape, indices)?])
}

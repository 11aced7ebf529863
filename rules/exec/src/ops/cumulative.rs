//! CumSum and CumProd: running sums and products along one axis.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_number};
use ptq_ir::Tensor;

pub(super) fn sum(call: &Call<'_>) -> Result<Tensor, ExecError> {
    each_number!(call.input(0)?,
        v => float running(call, v, 0.0, &|a, b| a + b),
        int running(call, v, 0, &|a, b| a.wrapping_add(b)),
        other Err(call.bad("truth values are not numbers")))
}

pub(super) fn product(call: &Call<'_>) -> Result<Tensor, ExecError> {
    each_number!(call.input(0)?,
        v => float running(call, v, 1.0, &|a, b| a * b),
        int running(call, v, 1, &|a, b| a.wrapping_mul(b)),
        other Err(call.bad("truth values are not numbers")))
}

/// `join` of all elements up to each one; with `exclusive` before each one, with `reverse` from the end.
fn running<T: Element>(call: &Call<'_>, v: &[T], neutral: T, join: &dyn Fn(T, T) -> T) -> Result<Tensor, ExecError> {
    let shape = call.input(0)?.shape();
    let &[raw] = call.input(1)?.to_i64s()?.as_slice() else {
        return Err(call.bad("axis must be one number"));
    };
    let axis = call.axis(raw, shape.len())?;
    let (exclusive, reverse) = (call.attrs.int("exclusive", 0) != 0, call.attrs.int("reverse", 0) != 0);
    let (extent, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let mut out = v.to_vec();
    for line in 0..v.len().checked_div(extent).unwrap_or(0) {
        let start = line / inner * inner * extent + line % inner;
        let mut total = neutral;
        for i in 0..extent {
            let at = start + inner * if reverse { extent - 1 - i } else { i };
            let next = join(total, v[at]);
            out[at] = if exclusive { total } else { next };
            total = next;
        }
    }
    Ok(T::tensor(shape, out)?)
}

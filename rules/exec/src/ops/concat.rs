//! Concat and Split along one axis.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use ptq_ir::Tensor;

pub(super) fn concat(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let inputs = call.all()?;
    let first = inputs[0];
    let axis = call.axis(call.attrs.int("axis", 0), first.shape().len())?;
    for t in &inputs {
        let fits = t.shape().len() == first.shape().len()
            && (0..first.shape().len()).all(|d| d == axis || t.shape()[d] == first.shape()[d]);
        if !fits {
            return Err(call.bad(format!("shapes {:?} and {:?} differ off axis {axis}", first.shape(), t.shape())));
        }
    }
    let mut shape = first.shape().to_vec();
    shape[axis] = inputs.iter().map(|t| t.shape()[axis]).sum();
    call.bounded(&shape)?;
    each_type!(first, v => joined(call, v, &inputs, &shape, axis))
}

/// `_like` only names the element type.
fn joined<T: Element>(
    call: &Call<'_>,
    _like: &[T],
    inputs: &[&Tensor],
    shape: &[usize],
    axis: usize,
) -> Result<Tensor, ExecError> {
    let outer: usize = shape[..axis].iter().product();
    let parts = inputs
        .iter()
        .map(|t| Ok((T::of(t)?, t.shape()[axis..].iter().product::<usize>())))
        .collect::<Result<Vec<_>, ExecError>>()?;
    let mut out = T::room(call.buffers, shape.iter().product());
    for o in 0..outer {
        for (v, run) in &parts {
            out.extend_from_slice(&v[o * run..(o + 1) * run]);
        }
    }
    Ok(T::tensor(shape, out)?)
}

/// Parts of the sizes in input 1, or equal parts, one for each output.
pub(super) fn split(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    let x = call.input(0)?;
    let axis = call.axis(call.attrs.int("axis", 0), x.shape().len())?;
    let extent = x.shape()[axis];
    let sizes = match call.ints(1)? {
        Some(sizes) => call.shape(&sizes)?,
        None => {
            let n = usize::try_from(call.attrs.int("num_outputs", call.outputs as i64)).unwrap_or(0);
            if n == 0 || extent % n != 0 {
                return Err(call.bad(format!("extent {extent} does not split into {n} equal parts")));
            }
            vec![extent / n; n]
        }
    };
    if sizes.iter().sum::<usize>() != extent {
        return Err(call.bad(format!("parts {sizes:?} do not add up to extent {extent}")));
    }
    let mut start = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        parts.push(each_type!(x, v => part(v, x.shape(), axis, start, size))?);
        start += size;
    }
    Ok(parts)
}

fn part<T: Element>(v: &[T], shape: &[usize], axis: usize, start: usize, size: usize) -> Result<Tensor, ExecError> {
    let outer: usize = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    let mut out = Vec::with_capacity(outer * size * inner);
    for o in 0..outer {
        let from = (o * shape[axis] + start) * inner;
        out.extend_from_slice(&v[from..from + size * inner]);
    }
    let mut shape = shape.to_vec();
    shape[axis] = size;
    Ok(T::tensor(&shape, out)?)
}

//! Slice: starts, ends, axes and steps as inputs.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use crate::loops::{steps_of, strided};
use ptq_ir::Tensor;

pub(super) fn slice(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let (starts, ends) = (call.input(1)?.to_i64s()?, call.input(2)?.to_i64s()?);
    let n = starts.len();
    let axes = call.ints(3)?.unwrap_or_else(|| (0..n as i64).collect());
    let steps = call.ints(4)?.unwrap_or_else(|| vec![1; n]);
    if ends.len() != n || axes.len() != n || steps.len() != n {
        return Err(call.bad("starts, ends, axes and steps differ in length"));
    }
    call.axes(&axes, rank)?;
    let mut shape = x.shape().to_vec();
    let mut strides = steps_of(x.shape());
    let mut offset = 0isize;
    for i in 0..n {
        let d = call.axis(axes[i], rank)?;
        let (first, count) = window(call, x.shape()[d], starts[i], ends[i], steps[i])?;
        shape[d] = count;
        offset += first as isize * strides[d];
        strides[d] *= steps[i].clamp(-(1 << 31), 1 << 31) as isize;
    }
    if shape.contains(&0) {
        return Ok(Tensor::zeros(x.dtype(), shape));
    }
    each_type!(x, v => Ok(Element::tensor(&shape, strided(v, &shape, offset, &strides))?))
}

/// First index and number of elements of one axis, with ONNX's clamping.
fn window(call: &Call<'_>, extent: usize, start: i64, end: i64, step: i64) -> Result<(usize, usize), ExecError> {
    let n = extent as i64;
    if n == 0 && step != 0 {
        return Ok((0, 0));
    }
    let from_end = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
    let (start, end) = (from_end(start), from_end(end));
    let (first, count) = match step {
        0 => return Err(call.bad("step is 0")),
        1.. => {
            let (s, e) = (start.clamp(0, n), end.clamp(0, n));
            (s, (e - s).max(0).div_euclid(step) + i64::from((e - s).max(0) % step != 0))
        }
        _ => {
            let (s, e) = (start.clamp(0, n - 1), end.clamp(-1, n - 1));
            let back = step.unsigned_abs().min(1 << 31) as i64;
            (s, ((s - e).max(0) + back - 1) / back)
        }
    };
    Ok((first.max(0) as usize, count.max(0) as usize))
}

//! Same elements under another shape: Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout at inference.

use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;

pub(super) fn identity(call: &Call<'_>) -> Result<Tensor, ExecError> {
    Ok(call.input(0)?.clone())
}

/// The input, and a mask of all true where one is asked for. Training mode is refused.
pub(super) fn dropout(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    let x = call.input(0)?;
    if call.optional(2).is_some_and(|t| t.bools().is_ok_and(|b| b.contains(&true))) {
        return Err(call.bad("training mode is not supported"));
    }
    let mut out = vec![x.clone()];
    if call.outputs > 1 {
        out.push(Tensor::from_bool(x.shape(), vec![true; x.len()])?);
    }
    Ok(out)
}

/// 0 copies the input's dimension (unless `allowzero`), -1 takes what is left.
pub(super) fn reshape(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let wanted = call.input(1)?.to_i64s()?;
    let copy_zero = call.attrs.int("allowzero", 0) == 0;
    let mut shape = Vec::with_capacity(wanted.len());
    let mut free = None;
    for (d, &w) in wanted.iter().enumerate() {
        shape.push(match w {
            0 if copy_zero => *x.shape().get(d).ok_or_else(|| call.bad("0 copies a dimension that is not there"))?,
            -1 if free.replace(d).is_none() => 1,
            _ => usize::try_from(w).map_err(|_| call.bad(format!("shape {wanted:?} is not valid")))?,
        });
    }
    if let Some(d) = free {
        let known = call.bounded(&shape)?;
        if known == 0 || x.len() % known != 0 {
            return Err(call.bad(format!("{} elements do not fit shape {wanted:?}", x.len())));
        }
        shape[d] = x.len() / known;
    }
    Ok(x.reshaped(shape)?)
}

pub(super) fn flatten(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let raw = call.attrs.int("axis", 1);
    let axis = if raw == rank as i64 { rank } else { call.axis(raw, rank)? };
    let rows: usize = x.shape()[..axis].iter().product();
    let cols: usize = x.shape()[axis..].iter().product();
    Ok(x.reshaped([rows, cols])?)
}

pub(super) fn squeeze(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let axes = match call.ints(1)? {
        Some(raw) => call.axes(&raw, rank)?,
        None => (0..rank).filter(|&d| x.shape()[d] == 1).collect(),
    };
    if let Some(&d) = axes.iter().find(|&&d| x.shape()[d] != 1) {
        return Err(call.bad(format!("axis {d} of shape {:?} is not 1", x.shape())));
    }
    let shape: Vec<usize> = (0..rank).filter(|d| !axes.contains(d)).map(|d| x.shape()[d]).collect();
    Ok(x.reshaped(shape)?)
}

pub(super) fn unsqueeze(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let raw = call.input(1)?.to_i64s()?;
    let rank = x.shape().len() + raw.len();
    let axes = call.axes(&raw, rank)?;
    let mut dims = x.shape().iter();
    let shape: Vec<usize> =
        (0..rank).map(|d| if axes.contains(&d) { 1 } else { dims.next().copied().unwrap_or(1) }).collect();
    Ok(x.reshaped(shape)?)
}

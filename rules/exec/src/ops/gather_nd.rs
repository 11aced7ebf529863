//! GatherElements and GatherND: elements and blocks picked by computed places.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use crate::loops::steps_of;
use ptq_ir::{Tensor, ops};

/// A non-negative index within an extent.
pub(super) fn index(call: &Call<'_>, raw: i64, extent: usize) -> Result<usize, ExecError> {
    ops::axis(raw, extent).ok_or_else(|| call.bad(format!("index {raw} is outside extent {extent}")))
}

/// For each index its offset in `shape`, where the index replaces the coordinate along `axis`.
pub(super) fn element_offsets(
    call: &Call<'_>,
    shape: &[usize],
    indices: &Tensor,
    axis: usize,
) -> Result<Vec<usize>, ExecError> {
    let fits =
        indices.shape().len() == shape.len() && (0..shape.len()).all(|d| d == axis || indices.shape()[d] <= shape[d]);
    if !fits {
        return Err(call.bad(format!("indices {:?} do not fit {shape:?} off axis {axis}", indices.shape())));
    }
    let (own, steps) = (steps_of(indices.shape()), steps_of(shape));
    let mut out = Vec::with_capacity(indices.len());
    for (i, raw) in indices.to_i64s()?.into_iter().enumerate() {
        let picked = index(call, raw, shape[axis])?;
        let coordinate = |d: usize| if d == axis { picked } else { i / own[d] as usize % indices.shape()[d] };
        out.push((0..shape.len()).map(|d| coordinate(d) * steps[d] as usize).sum());
    }
    Ok(out)
}

pub(super) fn elements(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(call.attrs.int("axis", 0), x.shape().len())?;
    let offsets = element_offsets(call, x.shape(), indices, axis)?;
    each_type!(x, v => Ok(Element::tensor(indices.shape(), offsets.iter().map(|&o| v[o]).collect())?))
}

/// Offsets in `shape` of the blocks that the last axis of `indices` names, and the length of a block. The first
/// `batch` axes of both are the same.
pub(super) fn block_offsets(
    call: &Call<'_>,
    shape: &[usize],
    indices: &Tensor,
    batch: usize,
) -> Result<(Vec<usize>, usize), ExecError> {
    let Some((&width, lead)) = indices.shape().split_last() else {
        return Err(call.bad("indices are a scalar"));
    };
    if batch > lead.len() || batch + width > shape.len() || lead[..batch] != shape[..batch] {
        return Err(call.bad(format!("indices {:?} do not fit {shape:?}", indices.shape())));
    }
    let steps = steps_of(shape);
    let block: usize = shape[batch + width..].iter().product();
    let batch_len: usize = shape[batch..].iter().product();
    let per_batch: usize = lead[batch..].iter().product();
    let raw = indices.to_i64s()?;
    let count: usize = lead.iter().product();
    let mut out = Vec::with_capacity(count);
    for i in 0..count {
        let mut at = i / per_batch * batch_len;
        for (k, &r) in raw[i * width..(i + 1) * width].iter().enumerate() {
            at += index(call, r, shape[batch + k])? * steps[batch + k] as usize;
        }
        out.push(at);
    }
    Ok((out, block))
}

pub(super) fn blocks(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let batch = usize::try_from(call.attrs.int("batch_dims", 0)).map_err(|_| call.bad("batch_dims is negative"))?;
    let (offsets, block) = block_offsets(call, x.shape(), indices, batch)?;
    let lead = &indices.shape()[..indices.shape().len() - 1];
    let width = indices.shape()[lead.len()];
    let shape = [lead, &x.shape()[batch + width..]].concat();
    call.bounded(&shape)?;
    each_type!(x, v => {
        let data = offsets.iter().flat_map(|&o| v[o..o + block].iter().copied()).collect();
        Ok(Element::tensor(&shape, data)?)
    })
}

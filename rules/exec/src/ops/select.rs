//! Results whose size depends on data: Compress, NonZero, Unique; and ReverseSequence.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use crate::ops::transpose::permuted;
use ptq_ir::{Tensor, ops::Unique};

/// Slices along an axis (or elements, without one) whose condition is true.
pub(super) fn compress(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, condition) = (call.input(0)?, call.input(1)?.bools()?);
    let flat = x.reshaped([x.len()])?;
    let (x, axis) = match call.attrs.get("axis") {
        Some(_) => (x, call.axis(call.attrs.int("axis", 0), x.shape().len())?),
        None => (&flat, 0),
    };
    let extent = x.shape()[axis];
    if condition.len() > extent {
        return Err(call.bad(format!("{} conditions for extent {extent}", condition.len())));
    }
    let kept: Vec<usize> = (0..condition.len()).filter(|&i| condition[i]).collect();
    let mut shape = x.shape().to_vec();
    shape[axis] = kept.len();
    each_type!(x, v => super::gather::picked(v, x.shape(), axis, &kept, &shape))
}

/// Coordinates of all elements that are not zero, one column each.
pub(super) fn non_zero(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let places = ptq_ir::ops::non_zero(x);
    let strides = ptq_ir::strides(x.shape());
    let rank = x.shape().len();
    let coordinates = (0..rank).flat_map(|d| places.iter().map(move |&i| (d, i)));
    let data = coordinates.map(|(d, i)| (i / strides[d] % x.shape()[d]) as i64).collect();
    Ok(Tensor::from_i64([rank, places.len()], data)?)
}

/// Distinct slices along an axis (or elements), where each was first, which one each slice is, and how often.
pub(super) fn unique(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    let x = call.input(0)?;
    let found = Unique::of(x, call.attrs).ok_or_else(|| call.bad("axis is outside the rank"))?;
    let flat = x.reshaped([x.len()])?;
    let (x, axis) = found.axis.map_or((&flat, 0), |axis| (x, axis));
    let mut shape = x.shape().to_vec();
    shape[axis] = found.first.len();
    let values = each_type!(x, v => super::gather::picked(v, x.shape(), axis, &found.first, &shape))?;
    let numbers = |v: &[usize]| Tensor::vec_i64(v.iter().map(|&i| i as i64).collect());
    Ok(vec![values, numbers(&found.first), numbers(&found.inverse), numbers(&found.counts)])
}

/// The first `sequence_lens[b]` steps of each batch element in reverse order.
pub(super) fn reverse_sequence(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let lengths = call.input(1)?.to_i64s()?;
    let rank = x.shape().len();
    let batch = call.axis(call.attrs.int("batch_axis", 1), rank)?;
    let time = call.axis(call.attrs.int("time_axis", 0), rank)?;
    if batch == time || lengths.len() != x.shape()[batch] {
        return Err(call.bad(format!("{} lengths for batch axis {batch} of {:?}", lengths.len(), x.shape())));
    }
    let mut perm: Vec<usize> = (0..rank).filter(|&d| d != batch && d != time).collect();
    perm.splice(0..0, [batch, time]);
    let mut back = vec![0; rank];
    perm.iter().enumerate().for_each(|(i, &p)| back[p] = i);
    let turned = permuted(x, &perm)?;
    let (steps, inner) = (x.shape()[time], turned.shape()[2..].iter().product::<usize>());
    let mut order = Vec::with_capacity(lengths.len() * steps);
    for (b, &length) in lengths.iter().enumerate() {
        let n = usize::try_from(length).ok().filter(|&n| n <= steps);
        let n = n.ok_or_else(|| call.bad(format!("length {length} is outside {steps} steps")))?;
        order.extend((0..steps).map(|t| b * steps + if t < n { n - 1 - t } else { t }));
    }
    let reversed: Tensor = each_type!(turned, v => {
        let data = order.iter().flat_map(|&i| v[i * inner..(i + 1) * inner].iter().copied()).collect();
        Element::tensor(turned.shape(), data)
    })?;
    permuted(&reversed, &back)
}

//! SparseTensorProto → dense tensor: coordinates as flat positions or one position an axis.

use super::tensor::{External, tensor};
use crate::meter::Meter;
use crate::proto::SparseTensorProto;
use ptq_ir::Tensor;

/// The dense tensor of a sparse message; elements that are not listed are zero.
///
/// # Errors
/// Says what does not fit: shapes, positions outside the tensor, positions that are not strictly ascending.
pub(crate) fn sparse(t: &SparseTensorProto, external: External<'_>, meter: &Meter) -> Result<Tensor, String> {
    let values = t.values.as_ref().ok_or("sparse tensor has no values")?;
    let values = tensor(values, external, meter)?;
    let count = match values.shape() {
        [n] => *n,
        other => return Err(format!("values of a sparse tensor have shape {other:?}, one dimension is expected")),
    };
    let dims = t.dims.iter().map(|&d| usize::try_from(d).map_err(|_| format!("dimension {d} is negative")));
    let dims = dims.collect::<Result<Vec<usize>, String>>()?;
    let bytes = meter.tensor(values.dtype(), &dims)?;
    let positions = positions(t, &dims, count, external, meter)?;
    let width = values.dtype().bytes();
    let mut dense = vec![0u8; bytes];
    let data = values.to_le_bytes();
    for (at, element) in positions.into_iter().zip(data.chunks_exact(width)) {
        dense[at * width..(at + 1) * width].copy_from_slice(element);
    }
    Tensor::from_le_bytes(values.dtype(), &dims, &dense).map_err(|e| e.to_string())
}

/// Flat positions of the values: strictly ascending and inside the shape.
fn positions(
    t: &SparseTensorProto,
    dims: &[usize],
    count: usize,
    external: External<'_>,
    meter: &Meter,
) -> Result<Vec<usize>, String> {
    let Some(indices) = &t.indices else {
        return if count == 0 { Ok(Vec::new()) } else { Err("sparse tensor has no indices".to_owned()) };
    };
    let indices = tensor(indices, external, meter)?;
    let numbers = indices.to_i64s().map_err(|e| format!("indices of a sparse tensor: {e}"))?;
    let size: usize = dims.iter().product();
    let flat: Vec<Option<usize>> = match indices.shape() {
        [n] if *n == count => numbers.iter().map(|&i| usize::try_from(i).ok().filter(|&i| i < size)).collect(),
        [n, rank] if (*n, *rank) == (count, dims.len()) => {
            numbers.chunks(dims.len().max(1)).map(|index| place(index, dims)).collect()
        }
        other => return Err(format!("indices of a sparse tensor have shape {other:?}, its values are {count}")),
    };
    let flat: Option<Vec<usize>> = flat.into_iter().collect();
    let flat = flat.ok_or_else(|| format!("a sparse tensor has an index outside its shape {dims:?}"))?;
    if flat.windows(2).any(|w| w[0] >= w[1]) {
        return Err("indices of a sparse tensor are not in ascending order".to_owned());
    }
    Ok(flat)
}

/// Flat position of an index with one entry an axis.
fn place(index: &[i64], dims: &[usize]) -> Option<usize> {
    index.iter().zip(dims).try_fold(0usize, |at, (&i, &d)| {
        let i = usize::try_from(i).ok().filter(|&i| i < d)?;
        Some(at * d + i)
    })
}

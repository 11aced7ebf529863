//! Reductions and Softmax along one axis.

use super::operand::{Operand, bad, expect_entries, range, tensor};
use crate::ExecError;
use ptq_ir::{QReduce, QSoftmax, QTensor, Reduction, Tensor};
use ptq_kernels::requant::{apply_wide, quotient, store};

pub(super) fn reduce(reduce: &QReduce, x: &Operand<'_>, out: &QTensor) -> Result<Tensor, ExecError> {
    let (lo, hi) = range(out)?;
    let mut shape = x.data.shape().to_vec();
    let line = |line: &[i32]| match (&reduce.requant, reduce.kind) {
        (None, Reduction::Max) => Ok(line.iter().copied().fold(lo, i32::max)),
        (Some(requant), Reduction::Sum | Reduction::Mean) => {
            expect_entries(out, requant, 1)?;
            let sum = line.iter().map(|&v| i64::from(v) - i64::from(x.zero())).sum();
            Ok(store(apply_wide(requant, 0, sum), reduce.out_zero, lo, hi))
        }
        _ => Err(bad(out, "multipliers do not fit the reduction".into())),
    };
    let y = lines(x, reduce.axis, out, |values| line(values).map(|v| vec![v]))?;
    shape[reduce.axis] = 1;
    tensor(out, &shape, y)
}

pub(super) fn softmax(softmax: &QSoftmax, x: &Operand<'_>, out: &QTensor) -> Result<Tensor, ExecError> {
    let (lo, hi) = range(out)?;
    expect_entries(out, &softmax.requant, 1)?;
    let (x_lo, x_hi) = range(x.info)?;
    if softmax.table.len() as i64 != i64::from(x_hi) - i64::from(x_lo) + 1 {
        let why = format!("a table of {} entries does not fit {}", softmax.table.len(), x.info.dtype);
        return Err(bad(out, why));
    }
    let y = lines(x, softmax.axis, out, |line| {
        let top = line.iter().copied().max().unwrap_or(0);
        let parts: Vec<i64> = line.iter().map(|&q| i64::from(softmax.table[(top - q) as usize])).collect();
        let sum = parts.iter().sum();
        Ok(parts.into_iter().map(|e| store(quotient(&softmax.requant, e, sum), softmax.out_zero, lo, hi)).collect())
    })?;
    tensor(out, x.data.shape(), y)
}

/// `f` of every line along an axis; its results take the line's place.
fn lines(
    x: &Operand<'_>,
    axis: usize,
    out: &QTensor,
    f: impl Fn(&[i32]) -> Result<Vec<i32>, ExecError>,
) -> Result<Vec<i32>, ExecError> {
    let shape = x.data.shape();
    let extent = *shape.get(axis).ok_or_else(|| bad(out, format!("axis {axis} is outside {shape:?}")))?;
    let inner: usize = shape[axis + 1..].iter().product();
    let mut y = Vec::new();
    for block in x.ints()?.chunks_exact((extent * inner).max(1)) {
        let columns = (0..inner).map(|i| f(&block.iter().skip(i).step_by(inner).copied().collect::<Vec<_>>()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let rows = columns.first().map_or(0, Vec::len);
        y.extend((0..rows).flat_map(|r| columns.iter().map(move |c| c[r])));
    }
    Ok(y)
}

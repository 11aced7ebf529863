//! Resize and Transpose: elements move, values stay.

use super::operand::{Operand, bad, count, tensor};
use crate::ExecError;
use ptq_ir::ops::NearestResize;
use ptq_ir::{Tensor, strides};

pub(super) fn resize(resize: &NearestResize, x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let [lead @ .., height, width] = x.data.shape() else {
        return Err(bad(x.info, "has no image axes".into()));
    };
    let (height, width) = (*height, *width);
    let outside = |table: &[u32], extent: usize| table.iter().any(|&i| i as usize >= extent);
    if outside(&resize.rows, height) || outside(&resize.cols, width) {
        return Err(bad(x.info, "a resize table points outside the image".into()));
    }
    let mut y = Vec::new();
    for plane in x.ints()?.chunks_exact((height * width).max(1)) {
        for &row in &resize.rows {
            y.extend(resize.cols.iter().map(|&col| plane[row as usize * width + col as usize]));
        }
    }
    let mut shape = lead.to_vec();
    shape.extend([resize.rows.len(), resize.cols.len()]);
    tensor(x.info, &shape, y)
}

pub(super) fn transpose(perm: &[usize], x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..x.data.shape().len()) {
        return Err(bad(x.info, format!("perm {perm:?} does not name every axis once")));
    }
    let from = strides(x.data.shape());
    let shape: Vec<usize> = perm.iter().map(|&p| x.data.shape()[p]).collect();
    let to = strides(&shape);
    let values = x.ints()?;
    let y = (0..count(x.info, &shape)?)
        .map(|i| values[(0..perm.len()).map(|d| i / to[d] % shape[d] * from[perm[d]]).sum::<usize>()])
        .collect();
    tensor(x.info, &shape, y)
}

//! Operators that only move elements.

use super::Call;
use super::element::{Element, with_element};
use ptq_ir::{Tensor, TensorError, ops::NearestResize, strides};

/// Nearest-neighbour resize of the last two axes.
pub(crate) fn resize(call: &Call<'_>, resize: &NearestResize) -> Result<Tensor, TensorError> {
    let x = call.inputs[0];
    let [.., h, w] = *x.shape() else { return Err(TensorError::Count { elements: x.len(), shape: x.shape().to_vec() }) };
    with_element!(x.dtype(), E => {
        let mut out = Vec::with_capacity(call.output().shape.iter().product());
        for plane in E::slice(x)?.chunks_exact((h * w).max(1)) {
            for &y in &resize.rows {
                let row = &plane[y as usize * w..(y as usize + 1) * w];
                out.extend(resize.cols.iter().map(|&c| row[c as usize]));
            }
        }
        E::tensor(&call.output().shape, out)
    })
}

/// Axis permutation.
pub(crate) fn transpose(call: &Call<'_>, perm: &[usize]) -> Result<Tensor, TensorError> {
    let x = call.inputs[0];
    let own = strides(x.shape());
    let source: Vec<usize> = perm.iter().map(|&a| own[a]).collect();
    let shape = &call.output().shape;
    with_element!(x.dtype(), E => {
        let data = E::slice(x)?;
        let mut out = Vec::with_capacity(data.len());
        let mut index = vec![0usize; shape.len()];
        let mut at = 0;
        for _ in 0..data.len() {
            out.push(data[at]);
            for d in (0..shape.len()).rev() {
                index[d] += 1;
                at += source[d];
                if index[d] < shape[d] {
                    break;
                }
                at -= source[d] * shape[d];
                index[d] = 0;
            }
        }
        E::tensor(shape, out)
    })
}

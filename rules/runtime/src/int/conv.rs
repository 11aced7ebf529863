//! Conv on packed weights.

use super::element::{Element, centred, with_element};
use super::{Call, zero_point};
use crate::RuntimeError;
use ptq_ir::{QConv, QNode, QTensor, Tensor, TensorError};
use ptq_kernels::requant::{apply, store};

/// A convolution whose weights were packed when the model was loaded.
#[derive(Debug)]
pub(crate) struct PackedConv {
    conv: QConv,
    weights: Vec<i8>,
    bias: Vec<i32>,
    x_zero: i32,
}

impl PackedConv {
    pub(crate) fn new(node: &QNode, conv: &QConv, tensors: &[QTensor]) -> Result<PackedConv, RuntimeError> {
        let tensor = |i: usize| node.inputs.get(i).map(|id| &tensors[id.0 as usize]);
        let data = |i: usize| tensor(i).and_then(|t| t.data.as_ref());
        let missing = || RuntimeError::node(&node.name, "its weights are missing");
        let weights = data(1).ok_or_else(missing)?.i8s()?.to_vec();
        let bias = data(2).map(|b| b.i32s().map(<[i32]>::to_vec)).transpose()?.unwrap_or_default();
        Ok(PackedConv { conv: conv.clone(), weights, bias, x_zero: tensor(0).map_or(0, zero_point) })
    }

    pub(crate) fn run(&self, call: &Call<'_>) -> Result<Tensor, TensorError> {
        let out = call.output();
        let acc = self.accumulate(call)?;
        let pixels = out.shape[2] * out.shape[3];
        let conv = &self.conv;
        let Some(requant) = &conv.requant else { return Tensor::from_i32(out.shape.clone(), acc) };
        let channel = |i: usize| i / pixels % out.shape[1];
        let value = |(i, &a): (usize, &i32)| {
            store(apply(requant, channel(i), a), conv.out_zero, conv.clamp_lo, conv.clamp_hi)
        };
        with_element!(out.dtype, E => E::tensor(&out.shape, acc.iter().enumerate().map(value).map(E::narrow).collect()))
    }

    fn accumulate(&self, call: &Call<'_>) -> Result<Vec<i32>, TensorError> {
        let x = centred(call.inputs[0], self.x_zero)?;
        let g = &self.conv.geom;
        let (xs, ys) = (call.inputs[0].shape(), &call.output().shape);
        let (c, h, w) = (xs[1], xs[2], xs[3]);
        let (oc, oh, ow) = (ys[1], ys[2], ys[3]);
        let (icg, ocg) = (c / g.group, oc / g.group);
        let mut out = Vec::with_capacity(ys.iter().product());
        for (n, o) in (0..ys[0]).flat_map(|n| (0..oc).map(move |o| (n, o))) {
            for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                let mut acc = self.bias.get(o).copied().unwrap_or(0);
                for (i, ky) in (0..icg).flat_map(|i| (0..g.kernel[0]).map(move |k| (i, k))) {
                    let y = (oy * g.strides[0] + ky * g.dilations[0]).checked_sub(g.pads[0]).filter(|&y| y < h);
                    let Some(y) = y else { continue };
                    let row = ((n * c + o / ocg * icg + i) * h + y) * w;
                    let taps = ((o * icg + i) * g.kernel[0] + ky) * g.kernel[1];
                    for kx in 0..g.kernel[1] {
                        let col = (ox * g.strides[1] + kx * g.dilations[1]).checked_sub(g.pads[1]);
                        if let Some(col) = col.filter(|&x| x < w) {
                            acc = acc.wrapping_add(x[row + col] * i32::from(self.weights[taps + kx]));
                        }
                    }
                }
                out.push(acc);
            }
        }
        Ok(out)
    }
}

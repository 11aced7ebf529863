//! Integer operators of march `cpu`, one file a family. The model's check guarantees shapes, types and constants.

mod concat;
mod conv;
mod elementwise;
mod element;
mod moves;
mod pool;

pub(crate) use concat::concat;
pub(crate) use conv::PackedConv;
pub(crate) use elementwise::{add, lut, mul};
pub(crate) use moves::{resize, transpose};
pub(crate) use pool::{average_pool, max_pool};

use ptq_ir::{QNode, QTensor, Tensor};

/// One node with its inputs.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a QNode,
    pub(crate) inputs: &'a [&'a Tensor],
    pub(crate) tensors: &'a [QTensor],
    pub(crate) threads: usize,
}

impl Call<'_> {
    /// What the result must be.
    pub(crate) fn output(&self) -> &QTensor {
        &self.tensors[self.node.outputs[0].0 as usize]
    }

    /// Zero point of input `i`.
    pub(crate) fn zero(&self, i: usize) -> i32 {
        zero_point(&self.tensors[self.node.inputs[i].0 as usize])
    }
}

/// Zero point of a tensor; 0 without quantization.
pub(crate) fn zero_point(tensor: &QTensor) -> i32 {
    tensor.quant.as_ref().map_or(0, |q| q.zero_point0())
}

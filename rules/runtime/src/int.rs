//! Integer operators of march `cpu`, one file a family, on bytes in storage order (rank 4 channels-last). What computes with
//! 16-bit words is in `words`.
//!
//! The model's check guarantees shapes, types and constants; all arithmetic is in `ptq-kernels`.

mod concat;
mod conv;
mod elementwise;
mod interp;
mod lines;
mod matmul;
mod moves;
mod pool;
mod words;

pub(crate) use concat::{concat, requantize};
pub(crate) use conv::PackedConv;
pub(crate) use elementwise::{add, div, extreme, lut, mul};
pub(crate) use interp::linear_resize;
pub(crate) use lines::{reduce, softmax};
pub(crate) use matmul::matmul;
pub(crate) use moves::{depth_to_space, gather_along, pad, reshape, resize, slice, space_to_depth, transpose};
pub(crate) use pool::{average_pool, max_pool};
pub(crate) use words::apply as apply_words;

use ptq_ir::{DType, QNode, QTensor};
use ptq_kernels::{Isa, Sign, Stored};

/// One node with the bytes of its inputs.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a QNode,
    pub(crate) inputs: &'a [&'a [u8]],
    pub(crate) tensors: &'a [QTensor],
    pub(crate) threads: usize,
    pub(crate) isa: Isa,
}

impl<'a> Call<'a> {
    /// What the program says about input `i`.
    pub(crate) fn input(&self, i: usize) -> &'a QTensor {
        &self.tensors[self.node.inputs[i].0 as usize]
    }

    /// Whether a 16-bit tensor takes part.
    pub(crate) fn has_words(&self) -> bool {
        let mut all = self.node.inputs.iter().chain(&self.node.outputs);
        all.any(|id| self.tensors[id.0 as usize].dtype == DType::I16)
    }

    /// What the result must be.
    pub(crate) fn output(&self) -> &'a QTensor {
        &self.tensors[self.node.outputs[0].0 as usize]
    }
}

/// How a tensor lies in memory.
fn stored(tensor: &QTensor) -> Stored {
    if tensor.dtype == DType::I16 { Stored::Word } else { Stored::Byte(sign(tensor)) }
}

/// How a tensor's bytes are read.
fn sign(tensor: &QTensor) -> Sign {
    if tensor.dtype == DType::U8 { Sign::Unsigned } else { Sign::Signed }
}

/// Zero point of a tensor; 0 without quantization.
fn zero_point(tensor: &QTensor) -> i32 {
    tensor.quant.as_ref().map_or(0, |q| q.zero_point0())
}

/// Batch, channels, height, width; the check made sure of the rank.
fn nchw(tensor: &QTensor) -> [usize; 4] {
    tensor.shape.as_slice().try_into().expect("invariant: the model's check found rank 4")
}

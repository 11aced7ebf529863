//! Conv on packed weights.

use super::{Call, nchw, sign, stored, zero_point};
use crate::RuntimeError;
use ptq_ir::{DType, QConv, QNode, QTensor};
use ptq_kernels::{IntConv, IntConvSpec, Isa, KernelError, WordConv};

/// A convolution whose weights were packed when the model was loaded.
#[derive(Debug)]
pub(crate) struct PackedConv {
    kernel: Kernel,
    /// Images that the kernel sees.
    batch: usize,
    int32: bool,
}

#[derive(Debug)]
enum Kernel {
    /// Bytes to bytes or accumulators.
    Bytes(Box<IntConv>),
    /// A 16-bit input or result.
    Words(Box<WordConv>),
}

impl PackedConv {
    pub(crate) fn new(node: &QNode, conv: &QConv, tensors: &[QTensor], isa: Isa) -> Result<PackedConv, RuntimeError> {
        let tensor = |i: usize| node.inputs.get(i).map(|id| &tensors[id.0 as usize]);
        let data = |i: usize| tensor(i).and_then(|t| t.data.as_ref());
        let missing = || RuntimeError::node(&node.name, "its input or weights are missing");
        let x = tensor(0).ok_or_else(missing)?;
        let weights = data(1).ok_or_else(missing)?;
        let [n, channels, h, w] = nchw(x);
        // Pixels of a pointwise convolution do not know to which image they belong.
        let pointwise = conv.geom.kernel == [1, 1] && conv.geom.strides == [1, 1] && conv.geom.pads == [0; 4];
        let (batch, h) = if pointwise { (1, n * h) } else { (n, h) };
        let spec = IntConvSpec {
            weights: weights.i8s()?,
            filters: weights.shape()[0],
            bias: data(2).map(|b| b.i32s()).transpose()?,
            geom: &conv.geom,
            channels,
            image: [h, w],
            input: sign(x),
            input_zero: zero_point(x),
            requant: conv.requant.as_ref(),
            out_zero: conv.out_zero,
            clamp: (conv.clamp_lo, conv.clamp_hi),
        };
        let y = node.outputs.first().map(|id| &tensors[id.0 as usize]).ok_or_else(missing)?;
        let kernel = if x.dtype == DType::I16 || y.dtype == DType::I16 {
            WordConv::pack(isa, &spec, stored(x), stored(y)).map(Box::new).map(Kernel::Words)
        } else {
            IntConv::pack(isa, &spec).map(Box::new).map(Kernel::Bytes)
        };
        let kernel = kernel.map_err(|e| RuntimeError::node(&node.name, e))?;
        Ok(PackedConv { kernel, batch, int32: conv.requant.is_none() })
    }

    pub(crate) fn run(&self, call: &Call<'_>, out: &mut [u8]) -> Result<(), KernelError> {
        let kernel = match &self.kernel {
            Kernel::Words(kernel) => return kernel.run(call.isa, call.threads, self.batch, call.inputs[0], out),
            Kernel::Bytes(kernel) => kernel,
        };
        if !self.int32 {
            return kernel.run(call.threads, self.batch, call.inputs[0], out);
        }
        let mut sums = vec![0i32; out.len() / 4];
        kernel.run_i32(call.threads, self.batch, call.inputs[0], &mut sums)?;
        out.as_chunks_mut::<4>().0.iter_mut().zip(sums).for_each(|(o, s)| *o = s.to_le_bytes());
        Ok(())
    }
}

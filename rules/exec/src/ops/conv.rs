//! Conv: packed kernels for one and two spatial dimensions.

use super::conv_nd;
use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;
use ptq_ir::ops::{ConvGeom, GemmAttrs};
use ptq_kernels::{FloatConv, Isa};

pub(super) fn conv(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    if x.shape().len() > 4 {
        return conv_nd::conv(call);
    }
    let plan = packed(call, x.shape())?;
    convolve(call, &plan, x, 1)
}

/// The packed convolution for inputs of this shape; weights and bias are inputs 1 and 2.
pub(crate) fn packed(call: &Call<'_>, x: &[usize]) -> Result<FloatConv, ExecError> {
    let w = call.input(1)?;
    let (x4, w4) = (with_height(call, x)?, with_height(call, w.shape())?);
    let geom = ConvGeom::of(&call.node(), &x4, &w4)?;
    let bias = call.optional(2).map(Tensor::f32s).transpose()?;
    Ok(FloatConv::pack(Isa::best(), w.f32s()?, w4[0], bias, &geom, x4[1], [x4[2], x4[3]])?)
}

/// A Gemm with one row, constant transposed weights and factors 1 as the equal pointwise convolution.
pub(crate) fn packed_gemm(call: &Call<'_>, x: &[usize]) -> Result<Option<FloatConv>, ExecError> {
    let attrs = GemmAttrs::of(&call.node());
    let (w, bias) = (call.input(1)?, call.optional(2));
    let (&[1, k], &[n, depth]) = (x, w.shape()) else { return Ok(None) };
    let plain = attrs.alpha == 1.0 && attrs.beta == 1.0 && !attrs.trans_a && attrs.trans_b;
    let bias_fits = bias.is_none_or(|b| matches!(*b.shape(), [m] | [1, m] if m == n));
    if !plain || k != depth || k == 0 || n == 0 || !bias_fits {
        return Ok(None);
    }
    let geom = ConvGeom { kernel: [1, 1], strides: [1, 1], pads: [0; 4], dilations: [1, 1], group: 1 };
    let bias = bias.map(Tensor::f32s).transpose()?;
    Ok(Some(FloatConv::pack(Isa::best(), w.f32s()?, n, bias, &geom, k, [1, 1])?))
}

/// Runs a packed Gemm.
pub(crate) fn multiply(call: &Call<'_>, plan: &FloatConv, x: &Tensor, threads: usize) -> Result<Tensor, ExecError> {
    let mut out = call.buffers.any(plan.out_channels());
    plan.run(threads, 1, x.f32s()?, &mut out)?;
    Ok(Tensor::from_f32([1, plan.out_channels()], out)?)
}

/// Runs a packed convolution.
pub(crate) fn convolve(call: &Call<'_>, plan: &FloatConv, x: &Tensor, threads: usize) -> Result<Tensor, ExecError> {
    let x4 = with_height(call, x.shape())?;
    let [h, w] = plan.out_hw();
    let mut shape = vec![x4[0], plan.out_channels(), h, w];
    let mut out = call.buffers.any(call.bounded(&shape)?);
    plan.run(threads, x4[0], x.f32s()?, &mut out)?;
    if x.shape().len() == 3 {
        shape.remove(2);
    }
    Ok(Tensor::from_f32(shape, out)?)
}

/// A shape of rank 4; one-dimensional images get height 1.
pub(super) fn with_height(call: &Call<'_>, shape: &[usize]) -> Result<[usize; 4], ExecError> {
    match *shape {
        [n, c, w] => Ok([n, c, 1, w]),
        [n, c, h, w] => Ok([n, c, h, w]),
        _ => Err(call.bad(format!("rank {}: one or two spatial dimensions are expected", shape.len()))),
    }
}

//! Conv: int8 weights per output channel, int32 bias, per-channel requantization.

use super::operands::{activation, input};
use crate::builder::Builder;
use crate::constants::{Factor, clamp, requant};
use ptq_ir::{
    Activation, DType, Diagnostic, NodeId, QConv, QOp, QuantParams, Tensor, TensorId, channel_scales,
    fold_into_weights, ops,
};
use ptq_kernels::requant::quantize;
use ptq_kernels::{Isa, vectorized};

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId, int32: bool) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |e: &dyn std::fmt::Display| Diagnostic::error("PART07", e.to_string()).node(&node.name);
    let x = input(b, id, 0)?;
    let x_params = b.tensor_params(x);
    let w_value = node.input(1).ok_or_else(|| bad(&"weights are missing"))?;
    let weights = b.graph.constant(w_value).ok_or_else(|| bad(&"weights are not constant"))?.clone();
    let x_shape = node.input(0).map(|v| b.graph.value(v).shape.clone()).unwrap_or_default();
    let geom = ops::ConvGeom::of(node, &x_shape, weights.shape())?;
    let w_params = b
        .quant
        .weights
        .get(&b.graph.value(w_value).name)
        .cloned()
        .ok_or_else(|| bad(&"calibration gave no weight scales"))?;
    // Channel scales of the input are part of the weights; what is left of the input's scale is 1.
    let (weights, x_scale) = match channel_scales(&x_params) {
        Some(scales) => (fold_into_weights(&weights, geom.group, scales).map_err(|e| bad(&e))?, 1.0),
        None => (weights, x_params.scale0()),
    };
    let w = quantize_weights(&weights, &w_params).map_err(|e| bad(&e))?;
    let w = b.constant(w_value, "_quantized", w, w_params.clone());
    // The scale of the accumulator, in single precision as the exported DequantizeLinear has it.
    let acc_scale: Vec<f32> = w_params.scale.iter().map(|&s| x_scale * s).collect();
    let mut inputs = vec![x, w];
    inputs.extend(bias(b, id, &acc_scale)?);
    let result = b.result(id)?;
    let act = activation(b, id);
    let (op, out_params) = if int32 {
        let conv = QConv {
            geom,
            requant: None,
            out_zero: 0,
            clamp_lo: i32::MIN,
            clamp_hi: i32::MAX,
            activation: Activation::None,
        };
        (conv, QuantParams::per_channel(DType::I32, acc_scale, 1))
    } else {
        let out = b.params(result)?;
        let product = |(o, &s): (usize, &f32)| match channel_scales(&out) {
            // The exported file has the output's scale inside the weights' and 1 behind the Conv.
            Some(scales) => Factor::product(x_scale, s / scales[o], 1.0),
            None => Factor::product(x_scale, s, out.scale0()),
        };
        let factors: Vec<Factor> = w_params.scale.iter().enumerate().map(product).collect();
        let (clamp_lo, clamp_hi) = clamp(act, &out);
        let conv = QConv {
            geom,
            requant: Some(requant(b.march.quantization.rounding, &factors)),
            out_zero: out.zero_point0(),
            clamp_lo,
            clamp_hi,
            activation: act,
        };
        (conv, out)
    };
    let y = b.integer_home(result, out_params);
    b.bpu_node(id, QOp::Conv(op), inputs, result, y);
    Ok(())
}

/// `q = clamp(round_half_even(w / scale[o]), -127, 127)`, output channel first.
fn quantize_weights(weights: &Tensor, params: &QuantParams) -> Result<Tensor, ptq_ir::TensorError> {
    let values = weights.f32s()?;
    let mut q = vec![0i8; values.len()];
    let filter = (values.len() / params.scale.len().max(1)).max(1);
    vectorized(Isa::best(), || {
        for ((w, q), &scale) in values.chunks(filter).zip(q.chunks_mut(filter)).zip(&params.scale) {
            w.iter().zip(q).for_each(|(&w, q)| *q = quantize(w, scale, 0, -127, 127) as i8);
        }
    });
    Tensor::from_i8(weights.shape(), q)
}

/// `round_half_even(bias / acc_scale)` as int32; calibration raised weight scales where this would overflow.
fn bias(b: &mut Builder<'_>, id: NodeId, acc_scale: &[f32]) -> Result<Option<TensorId>, Diagnostic> {
    let node = b.graph.node(id);
    let Some(v) = node.input(2) else { return Ok(None) };
    let bad = |e: &dyn std::fmt::Display| Diagnostic::error("PART08", e.to_string()).node(&node.name);
    let data = b.graph.constant(v).ok_or_else(|| bad(&"bias is not constant"))?;
    let values = data.f32s().map_err(|e| bad(&e))?;
    if values.len() != acc_scale.len() {
        return Err(bad(&format!("bias has {} entries for {} filters", values.len(), acc_scale.len())));
    }
    let q = values
        .iter()
        .zip(acc_scale)
        .map(|(&x, &s)| {
            (f64::from(x) / f64::from(s)).round_ties_even().clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i32
        })
        .collect::<Vec<i32>>();
    let data = Tensor::from_i32([q.len()], q).map_err(|e| bad(&e))?;
    let params = QuantParams::per_channel(DType::I32, acc_scale.to_vec(), 0);
    Ok(Some(b.constant(v, "_quantized", data, params)))
}

//! Real numbers at the ends of a program whose borders are left away. Called by whoever runs a program on float samples.

use super::border;
use super::operand::Operand;
use crate::ExecError;
use ptq_ir::{QGraph, Tensor};

/// Model inputs as the program takes them: float tensors become the integers of a port that has no Quantize of its own, as that would
/// make them; everything else is handed on.
///
/// # Errors
/// When a tensor does not go with its port.
pub fn port_values(graph: &QGraph, inputs: &[Tensor]) -> Result<Vec<Tensor>, ExecError> {
    let one = |(i, data): (usize, &Tensor)| match graph.inputs.get(i).map(|&id| graph.tensor(id)) {
        Some(port) if port.quant.is_some() && data.dtype().is_float() => {
            border::quantize(&Operand { info: port, data }, port)
        }
        _ => Ok(data.clone()),
    };
    inputs.iter().enumerate().map(one).collect()
}

/// Model outputs as real numbers: the integers of a port that has no Dequantize of its own become floats, as that would make them.
///
/// # Errors
/// When a tensor does not go with its port.
pub fn real_outputs(graph: &QGraph, outputs: Vec<Tensor>) -> Result<Vec<Tensor>, ExecError> {
    let one = |(i, data): (usize, Tensor)| match graph.outputs.get(i).map(|&id| graph.tensor(id)) {
        Some(info) if info.quant.is_some() => border::dequantize(&Operand { info, data: &data }),
        _ => Ok(data),
    };
    outputs.into_iter().enumerate().map(one).collect()
}

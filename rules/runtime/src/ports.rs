//! Ports that carry integers: real numbers to them and from them, as the borders that were left away would make them.

use crate::border::{dequantize, quantize};
use crate::{Model, Port, RunOptions, RuntimeError};
use ptq_ir::{DType, Tensor, TensorError};

impl Port<'_> {
    /// A float32 tensor of this port's shape as the port takes it; anything else is handed on.
    ///
    /// # Errors
    /// When the port's type is not one that is quantized to.
    pub fn integers(&self, tensor: Tensor) -> Result<Tensor, TensorError> {
        match self.quant {
            Some(params) if tensor.dtype() == DType::F32 && tensor.shape() == self.shape => {
                quantize(&tensor, params, 1)
            }
            _ => Ok(tensor),
        }
    }

    /// What this port gives, as real numbers.
    ///
    /// # Errors
    /// When the tensor is not of the port's type.
    pub fn reals(&self, tensor: Tensor) -> Result<Tensor, TensorError> {
        match self.quant {
            Some(params) if tensor.shape() == self.shape => dequantize(&tensor, params, 1),
            _ => Ok(tensor),
        }
    }
}

impl Model {
    /// [`Model::run`] on real numbers, also where inputs and outputs of the model carry integers.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn run_real(&self, inputs: &[Tensor], options: &RunOptions) -> Result<Vec<Tensor>, RuntimeError> {
        let ports = self.inputs();
        let mut given = Vec::with_capacity(inputs.len());
        for (i, tensor) in inputs.iter().enumerate() {
            // One too many is for `run` to refuse.
            given.push(match ports.get(i) {
                Some(port) => port.integers(tensor.clone())?,
                None => tensor.clone(),
            });
        }
        let made = self.run(&given, options)?;
        Ok(self.outputs().iter().zip(made).map(|(port, y)| port.reals(y)).collect::<Result<_, _>>()?)
    }
}

//! Integer tensors as plain numbers, and back.

use crate::ExecError;
use ptq_ir::{DType, QTensor, Requant, Tensor, numel};

/// A tensor that an operator reads, with what the program says about it.
pub(super) struct Operand<'a> {
    pub(super) info: &'a QTensor,
    pub(super) data: &'a Tensor,
}

impl Operand<'_> {
    /// The elements as 32-bit integers.
    pub(super) fn ints(&self) -> Result<Vec<i32>, ExecError> {
        Ok(self.data.to_i64s()?.into_iter().map(|v| v as i32).collect())
    }

    /// The zero point; 0 without parameters.
    pub(super) fn zero(&self) -> i32 {
        self.info.quant.as_ref().map_or(0, |q| q.zero_point0())
    }

    /// The shape as batch, channels, height, width.
    pub(super) fn nchw(&self) -> Result<[usize; 4], ExecError> {
        <[usize; 4]>::try_from(self.data.shape())
            .map_err(|_| bad(self.info, format!("rank {} instead of 4", self.data.shape().len())))
    }
}

/// An error about one tensor.
pub(super) fn bad(tensor: &QTensor, why: String) -> ExecError {
    ExecError::Invalid { op: tensor.name.clone(), why }
}

/// Lowest and highest value of a tensor's type.
pub(super) fn range(tensor: &QTensor) -> Result<(i32, i32), ExecError> {
    match tensor.dtype {
        DType::I32 => Ok((i32::MIN, i32::MAX)),
        other => other.quant_range().ok_or_else(|| bad(tensor, format!("{other} is not a quantized type"))),
    }
}

/// A tensor of this type and shape; every value must lie in the type's range.
pub(super) fn tensor(like: &QTensor, shape: &[usize], values: Vec<i32>) -> Result<Tensor, ExecError> {
    let (lo, hi) = range(like)?;
    if let Some(v) = values.iter().find(|v| **v < lo || **v > hi) {
        return Err(bad(like, format!("value {v} does not fit {}", like.dtype)));
    }
    Ok(match like.dtype {
        DType::I8 => Tensor::from_i8(shape, values.into_iter().map(|v| v as i8).collect())?,
        DType::U8 => Tensor::from_u8(shape, values.into_iter().map(|v| v as u8).collect())?,
        DType::I16 => Tensor::from_i16(shape, values.into_iter().map(|v| v as i16).collect())?,
        _ => Tensor::from_i32(shape, values)?,
    })
}

/// Refuses constants that have not exactly this many entries.
pub(super) fn expect_entries(tensor: &QTensor, requant: &Requant, expected: usize) -> Result<(), ExecError> {
    let n = match requant {
        Requant::Float(m) => m.len(),
        Requant::Fixed(m) => m.len(),
    };
    if n == expected { Ok(()) } else { Err(bad(tensor, format!("{n} requantization entries instead of {expected}"))) }
}

/// The element count of a shape.
pub(super) fn count(tensor: &QTensor, shape: &[usize]) -> Result<usize, ExecError> {
    numel(shape).ok_or_else(|| bad(tensor, format!("shape {shape:?} is too large")))
}

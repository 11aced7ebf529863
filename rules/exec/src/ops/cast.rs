//! Cast. Floats truncate toward zero and saturate when they become integers; integers wrap.

use crate::ExecError;
use crate::call::Call;
use ptq_ir::{DType, Tensor, TensorData};

pub(super) fn cast(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let number = call.attrs.int("to", 0);
    let to = i32::try_from(number)
        .ok()
        .and_then(DType::from_onnx)
        .ok_or_else(|| call.bad(format!("element type {number} is not supported")))?;
    convert(call.input(0)?, to)
}

/// The elements of `x` as type `to`.
pub(crate) fn convert(x: &Tensor, to: DType) -> Result<Tensor, ExecError> {
    if x.dtype() == to {
        return Ok(x.clone());
    }
    macro_rules! from {
        ($v:expr) => {
            match to {
                DType::F32 => Tensor::from_f32(x.shape(), $v.iter().map(|&e| e as f32).collect())?,
                DType::F64 => Tensor::from_f64(x.shape(), $v.iter().map(|&e| e as f64).collect())?,
                DType::I64 => Tensor::from_i64(x.shape(), $v.iter().map(|&e| e as i64).collect())?,
                DType::I32 => Tensor::from_i32(x.shape(), $v.iter().map(|&e| e as i32).collect())?,
                DType::I16 => Tensor::from_i16(x.shape(), $v.iter().map(|&e| e as i16).collect())?,
                DType::I8 => Tensor::from_i8(x.shape(), $v.iter().map(|&e| e as i8).collect())?,
                DType::U8 => Tensor::from_u8(x.shape(), $v.iter().map(|&e| e as u8).collect())?,
                DType::U16 => Tensor::from_u16(x.shape(), $v.iter().map(|&e| e as u16).collect())?,
                DType::U32 => Tensor::from_u32(x.shape(), $v.iter().map(|&e| e as u32).collect())?,
                DType::U64 => Tensor::from_u64(x.shape(), $v.iter().map(|&e| e as u64).collect())?,
                DType::Bool => Tensor::from_bool(x.shape(), $v.iter().map(|&e| e != Default::default()).collect())?,
            }
        };
    }
    /// Integers as the widest ones: from there they become any type as from their own.
    fn wide<T: Copy + Into<i64>>(v: &[T]) -> Vec<i64> {
        v.iter().map(|&e| e.into()).collect()
    }
    let integers = match x.data() {
        TensorData::F32(v) => return Ok(from!(v)),
        TensorData::F64(v) => return Ok(from!(v)),
        TensorData::U64(v) => return Ok(from!(v)),
        TensorData::I64(v) => return Ok(from!(v)),
        TensorData::I32(v) => wide(v),
        TensorData::I16(v) => wide(v),
        TensorData::I8(v) => wide(v),
        TensorData::U8(v) => wide(v),
        TensorData::U16(v) => wide(v),
        TensorData::U32(v) => wide(v),
        TensorData::Bool(v) => wide(v),
    };
    Ok(from!(integers))
}

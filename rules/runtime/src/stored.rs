//! Integer tensors as bytes in storage order (rank 4 channels-last), and back.

use ptq_ir::{DType, Tensor, TensorError};
use ptq_kernels::bytes_of;
use ptq_sim::{from_storage, to_storage};

/// Bytes of an integer tensor in storage order.
pub(crate) fn to_stored(tensor: &Tensor) -> Result<Vec<u8>, TensorError> {
    let shape = tensor.shape();
    Ok(match tensor.dtype() {
        DType::I8 => to_storage(bytes_of(tensor.i8s()?), shape, 1),
        DType::U8 => to_storage(tensor.u8s()?, shape, 1),
        other => to_storage(&tensor.to_le_bytes(), shape, other.bytes()),
    })
}

/// The tensor whose bytes in storage order these are.
pub(crate) fn from_stored(bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Tensor, TensorError> {
    let bytes = from_storage(bytes, shape, dtype.bytes());
    match dtype {
        DType::U8 => Tensor::from_u8(shape, bytes),
        _ => Tensor::from_le_bytes(dtype, shape, &bytes),
    }
}

//! Integer tensors as bytes in storage order (rank 4 channels-last), and back.

use ptq_ir::{DType, QTensor, Tensor, TensorError, numel};
use ptq_kernels::{Isa, bytes_of, bytes_of_mut, swap_axes};
use ptq_sim::{from_storage, to_storage};

/// Bytes that a tensor takes.
pub(crate) fn stored_len(tensor: &QTensor) -> usize {
    numel(&tensor.shape).unwrap_or(0) * tensor.dtype.bytes()
}

/// Bytes of an integer tensor in storage order.
pub(crate) fn to_stored(tensor: &Tensor) -> Result<Vec<u8>, TensorError> {
    let mut out = vec![0; tensor.shape().iter().product::<usize>() * tensor.dtype().bytes()];
    store(tensor, &mut out)?;
    Ok(out)
}

/// Writes an integer tensor in storage order.
pub(crate) fn store(tensor: &Tensor, out: &mut [u8]) -> Result<(), TensorError> {
    let shape = tensor.shape();
    match tensor.dtype() {
        DType::I8 => swap(bytes_of(tensor.i8s()?), shape, out),
        DType::U8 => swap(tensor.u8s()?, shape, out),
        other => out.copy_from_slice(&to_storage(&tensor.to_le_bytes(), shape, other.bytes())),
    }
    Ok(())
}

/// Single bytes in storage order.
fn swap(x: &[u8], shape: &[usize], out: &mut [u8]) {
    match *shape {
        [n, c, h, w] if x.len() > n => {
            let image = x.len() / n;
            let images = x.chunks_exact(image).zip(out.chunks_exact_mut(image));
            images.for_each(|(x, out)| swap_axes(Isa::best(), x, c, h * w, out));
        }
        _ => out.copy_from_slice(x),
    }
}

/// The tensor whose bytes in storage order these are.
pub(crate) fn from_stored(bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Tensor, TensorError> {
    // The way back is the way there with the axes exchanged.
    let back = match *shape {
        [n, c, h, w] => vec![n, h * w, c, 1],
        _ => shape.to_vec(),
    };
    match dtype {
        DType::U8 => {
            let mut out = vec![0; bytes.len()];
            swap(bytes, &back, &mut out);
            Tensor::from_u8(shape, out)
        }
        DType::I8 => {
            let mut out = vec![0i8; bytes.len()];
            swap(bytes, &back, bytes_of_mut(&mut out));
            Tensor::from_i8(shape, out)
        }
        _ => Tensor::from_le_bytes(dtype, shape, &from_storage(bytes, shape, dtype.bytes())),
    }
}

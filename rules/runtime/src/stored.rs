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
    store(tensor, &mut out, 1)?;
    Ok(out)
}

/// Writes an integer tensor in storage order.
pub(crate) fn store(tensor: &Tensor, out: &mut [u8], threads: usize) -> Result<(), TensorError> {
    let shape = tensor.shape();
    match tensor.dtype() {
        DType::I8 => swap(bytes_of(tensor.i8s()?), shape, out, threads),
        DType::U8 => swap(tensor.u8s()?, shape, out, threads),
        other => out.copy_from_slice(&to_storage(&tensor.to_le_bytes(), shape, other.bytes())),
    }
    Ok(())
}

/// Single bytes in storage order.
fn swap(x: &[u8], shape: &[usize], out: &mut [u8], threads: usize) {
    match *shape {
        [n, c, h, w] if x.len() > n => {
            let image = x.len() / n;
            let images = x.chunks_exact(image).zip(out.chunks_exact_mut(image));
            images.for_each(|(x, out)| swap_axes(Isa::best(), threads, x, c, h * w, out));
        }
        _ => out.copy_from_slice(x),
    }
}

/// The tensor whose bytes in storage order these are.
pub(crate) fn from_stored(bytes: &[u8], dtype: DType, shape: &[usize], threads: usize) -> Result<Tensor, TensorError> {
    // The way back is the way there with the axes exchanged.
    let back = match *shape {
        [n, c, h, w] => vec![n, h * w, c, 1],
        _ => shape.to_vec(),
    };
    match dtype {
        DType::U8 => {
            let mut out = vec![0; bytes.len()];
            swap(bytes, &back, &mut out, threads);
            Tensor::from_u8(shape, out)
        }
        DType::I8 => {
            let mut out = vec![0i8; bytes.len()];
            swap(bytes, &back, bytes_of_mut(&mut out), threads);
            Tensor::from_i8(shape, out)
        }
        _ => Tensor::from_le_bytes(dtype, shape, &from_storage(bytes, shape, dtype.bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_rank_comes_back_from_storage() {
        for shape in
            [vec![2, 3, 4, 5], vec![1, 1, 4, 5], vec![1, 20, 1, 1], vec![2, 17, 5, 7], vec![3, 7], vec![2, 3, 4]]
        {
            for dtype in [DType::I8, DType::U8, DType::I16, DType::I32] {
                let count = shape.iter().product::<usize>() * dtype.bytes();
                let bytes: Vec<u8> = (0..count).map(|i| (i * 7 + i / 13) as u8).collect();
                let tensor = Tensor::from_le_bytes(dtype, &shape, &bytes).expect("fits");
                let stored = to_stored(&tensor).expect("an integer type");
                assert_eq!(stored, to_storage(&bytes, &shape, dtype.bytes()));
                for threads in [1, 3] {
                    assert_eq!(
                        from_stored(&stored, dtype, &shape, threads).expect("fits"),
                        tensor,
                        "{dtype} {shape:?}"
                    );
                }
            }
        }
    }
}

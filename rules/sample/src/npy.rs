//! NumPy files.

use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use ptq_ir::{Tensor, TensorData};

/// Reads a `.npy` file of any supported element type.
///
/// # Errors
/// Says why the bytes are not such an array.
pub fn read_npy(bytes: &[u8]) -> Result<Tensor, String> {
    macro_rules! attempt {
        ($($ty:ty => $make:path),+ $(,)?) => {
            $(if let Ok(array) = ArrayD::<$ty>::read_npy(bytes) {
                let shape = array.shape().to_vec();
                let values = array.as_standard_layout().iter().copied().collect();
                return $make(shape, values).map_err(|e| e.to_string());
            })+
        };
    }
    attempt!(
        f32 => Tensor::from_f32,
        u8 => Tensor::from_u8,
        i8 => Tensor::from_i8,
        f64 => Tensor::from_f64,
        i64 => Tensor::from_i64,
        i32 => Tensor::from_i32,
        i16 => Tensor::from_i16,
        bool => Tensor::from_bool,
        u16 => Tensor::from_u16,
        u32 => Tensor::from_u32,
        u64 => Tensor::from_u64,
    );
    let why = ArrayD::<f32>::read_npy(bytes).map_or_else(|e| e.to_string(), |_| String::new());
    Err(format!("not a readable .npy array: {why}"))
}

/// Writes a tensor as `.npy` bytes.
///
/// # Errors
/// When the array does not encode.
pub fn write_npy(tensor: &Tensor) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let shape = IxDyn(tensor.shape());
    macro_rules! write {
        ($v:expr) => {
            ArrayD::from_shape_vec(shape, $v.to_vec())
                .map_err(|e| e.to_string())?
                .write_npy(&mut out)
                .map_err(|e| e.to_string())?
        };
    }
    match tensor.data() {
        TensorData::F32(v) => write!(v),
        TensorData::F64(v) => write!(v),
        TensorData::I64(v) => write!(v),
        TensorData::I32(v) => write!(v),
        TensorData::I16(v) => write!(v),
        TensorData::I8(v) => write!(v),
        TensorData::U8(v) => write!(v),
        TensorData::Bool(v) => write!(v),
        TensorData::U16(v) => write!(v),
        TensorData::U32(v) => write!(v),
        TensorData::U64(v) => write!(v),
    }
    Ok(out)
}

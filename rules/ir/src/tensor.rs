//! A dense row-major tensor whose data is shared, not copied, between graphs.

use crate::{DType, numel};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Elements of a [`Tensor`]. Cloning shares the allocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TensorData {
    F32(Arc<Vec<f32>>),
    F64(Arc<Vec<f64>>),
    I64(Arc<Vec<i64>>),
    I32(Arc<Vec<i32>>),
    I16(Arc<Vec<i16>>),
    I8(Arc<Vec<i8>>),
    U8(Arc<Vec<u8>>),
    Bool(Arc<Vec<bool>>),
    U16(Arc<Vec<u16>>),
    U32(Arc<Vec<u32>>),
    U64(Arc<Vec<u64>>),
}

/// A dense tensor in row-major order with a static shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

/// Why a tensor could not be made or read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The element count and the shape disagree.
    #[error("{elements} elements do not fill shape {shape:?}")]
    Count {
        /// Elements given.
        elements: usize,
        /// Shape asked for.
        shape: Vec<usize>,
    },
    /// The bytes are not a whole number of elements.
    #[error("{bytes} bytes do not fill shape {shape:?} of {dtype}")]
    Bytes {
        /// Bytes given.
        bytes: usize,
        /// Shape asked for.
        shape: Vec<usize>,
        /// Element type.
        dtype: DType,
    },
    /// Another element type was expected.
    #[error("expected {expected} data, found {found}")]
    Type {
        /// Type asked for.
        expected: DType,
        /// Type of the tensor.
        found: DType,
    },
}

macro_rules! typed {
    ($make:ident, $get:ident, $into:ident, $variant:ident, $ty:ty) => {
        /// A tensor of this element type; fails when the count and the shape disagree.
        pub fn $make(shape: impl Into<Vec<usize>>, data: Vec<$ty>) -> Result<Tensor, TensorError> {
            let shape = shape.into();
            if numel(&shape) != Some(data.len()) {
                return Err(TensorError::Count { elements: data.len(), shape });
            }
            Ok(Tensor { shape, data: TensorData::$variant(Arc::new(data)) })
        }
        /// The elements, when they are of this type.
        pub fn $get(&self) -> Result<&[$ty], TensorError> {
            match &self.data {
                TensorData::$variant(v) => Ok(v),
                _ => Err(TensorError::Type { expected: DType::$variant, found: self.dtype() }),
            }
        }
        /// The elements by value, without a copy when nobody else holds them.
        pub fn $into(self) -> Result<Vec<$ty>, TensorError> {
            let found = self.dtype();
            match self.data {
                TensorData::$variant(v) => Ok(Arc::try_unwrap(v).unwrap_or_else(|shared| shared.as_ref().clone())),
                _ => Err(TensorError::Type { expected: DType::$variant, found }),
            }
        }
    };
}

/// `body` with `$v` bound to the elements of any type.
macro_rules! each_variant {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            TensorData::F32($v) => $body,
            TensorData::F64($v) => $body,
            TensorData::I64($v) => $body,
            TensorData::I32($v) => $body,
            TensorData::I16($v) => $body,
            TensorData::I8($v) => $body,
            TensorData::U8($v) => $body,
            TensorData::Bool($v) => $body,
            TensorData::U16($v) => $body,
            TensorData::U32($v) => $body,
            TensorData::U64($v) => $body,
        }
    };
}
pub(crate) use each_variant;

impl Tensor {
    typed!(from_f32, f32s, into_f32s, F32, f32);
    typed!(from_f64, f64s, into_f64s, F64, f64);
    typed!(from_i64, i64s, into_i64s, I64, i64);
    typed!(from_i32, i32s, into_i32s, I32, i32);
    typed!(from_i16, i16s, into_i16s, I16, i16);
    typed!(from_i8, i8s, into_i8s, I8, i8);
    typed!(from_u8, u8s, into_u8s, U8, u8);
    typed!(from_bool, bools, into_bools, Bool, bool);
    typed!(from_u16, u16s, into_u16s, U16, u16);
    typed!(from_u32, u32s, into_u32s, U32, u32);
    typed!(from_u64, u64s, into_u64s, U64, u64);

    /// A tensor of zeros (false for `bool`).
    pub fn zeros(dtype: DType, shape: impl Into<Vec<usize>>) -> Tensor {
        let shape = shape.into();
        let n = numel(&shape).unwrap_or(0);
        let data = match dtype {
            DType::F32 => TensorData::F32(Arc::new(vec![0.0; n])),
            DType::F64 => TensorData::F64(Arc::new(vec![0.0; n])),
            DType::I64 => TensorData::I64(Arc::new(vec![0; n])),
            DType::I32 => TensorData::I32(Arc::new(vec![0; n])),
            DType::I16 => TensorData::I16(Arc::new(vec![0; n])),
            DType::I8 => TensorData::I8(Arc::new(vec![0; n])),
            DType::U8 => TensorData::U8(Arc::new(vec![0; n])),
            DType::Bool => TensorData::Bool(Arc::new(vec![false; n])),
            DType::U16 => TensorData::U16(Arc::new(vec![0; n])),
            DType::U32 => TensorData::U32(Arc::new(vec![0; n])),
            DType::U64 => TensorData::U64(Arc::new(vec![0; n])),
        };
        Tensor { shape, data }
    }

    /// A scalar (rank 0) of `float32`.
    pub fn scalar_f32(v: f32) -> Tensor {
        Tensor { shape: Vec::new(), data: TensorData::F32(Arc::new(vec![v])) }
    }

    /// A vector of `int64`, as shapes and axes are stored in ONNX.
    pub fn vec_i64(v: Vec<i64>) -> Tensor {
        Tensor { shape: vec![v.len()], data: TensorData::I64(Arc::new(v)) }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            TensorData::F32(_) => DType::F32,
            TensorData::F64(_) => DType::F64,
            TensorData::I64(_) => DType::I64,
            TensorData::I32(_) => DType::I32,
            TensorData::I16(_) => DType::I16,
            TensorData::I8(_) => DType::I8,
            TensorData::U8(_) => DType::U8,
            TensorData::Bool(_) => DType::Bool,
            TensorData::U16(_) => DType::U16,
            TensorData::U32(_) => DType::U32,
            TensorData::U64(_) => DType::U64,
        }
    }

    /// Shape; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The typed elements.
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        each_variant!(&self.data, v => v.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the elements in bytes.
    pub fn byte_len(&self) -> usize {
        self.len() * self.dtype().bytes()
    }

    /// The same elements under another shape.
    pub fn reshaped(&self, shape: impl Into<Vec<usize>>) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        if numel(&shape) != Some(self.len()) {
            return Err(TensorError::Count { elements: self.len(), shape });
        }
        Ok(Tensor { shape, data: self.data.clone() })
    }

    /// Elements as little-endian bytes, the form of ONNX `raw_data`.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        macro_rules! bytes {
            ($v:expr, $n:literal) => {{
                let mut out = vec![0; $v.len() * $n];
                out.as_chunks_mut::<$n>().0.iter_mut().zip($v.iter()).for_each(|(o, x)| *o = x.to_le_bytes());
                out
            }};
        }
        match &self.data {
            TensorData::F32(v) => bytes!(v, 4),
            TensorData::F64(v) => bytes!(v, 8),
            TensorData::I64(v) => bytes!(v, 8),
            TensorData::I32(v) => bytes!(v, 4),
            TensorData::I16(v) => bytes!(v, 2),
            TensorData::I8(v) => v.iter().map(|&x| x as u8).collect(),
            TensorData::U8(v) => v.to_vec(),
            TensorData::Bool(v) => v.iter().map(|&x| u8::from(x)).collect(),
            TensorData::U16(v) => bytes!(v, 2),
            TensorData::U32(v) => bytes!(v, 4),
            TensorData::U64(v) => bytes!(v, 8),
        }
    }

    /// A tensor from little-endian bytes; fails when they do not fill the shape exactly.
    pub fn from_le_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Tensor, TensorError> {
        let fits = numel(shape).and_then(|n| n.checked_mul(dtype.bytes())) == Some(bytes.len());
        if !fits {
            return Err(TensorError::Bytes { bytes: bytes.len(), shape: shape.to_vec(), dtype });
        }
        macro_rules! read {
            ($ty:ty, $n:literal, $variant:ident) => {
                TensorData::$variant(Arc::new(
                    bytes.as_chunks::<$n>().0.iter().map(|c| <$ty>::from_le_bytes(*c)).collect(),
                ))
            };
        }
        let data = match dtype {
            DType::F32 => read!(f32, 4, F32),
            DType::F64 => read!(f64, 8, F64),
            DType::I64 => read!(i64, 8, I64),
            DType::I32 => read!(i32, 4, I32),
            DType::I16 => read!(i16, 2, I16),
            DType::I8 => TensorData::I8(Arc::new(bytes.iter().map(|&b| b as i8).collect())),
            DType::U8 => TensorData::U8(Arc::new(bytes.to_vec())),
            DType::Bool => TensorData::Bool(Arc::new(bytes.iter().map(|&b| b != 0).collect())),
            DType::U16 => read!(u16, 2, U16),
            DType::U32 => read!(u32, 4, U32),
            DType::U64 => read!(u64, 8, U64),
        };
        Ok(Tensor { shape: shape.to_vec(), data })
    }

    /// Elements of an integer tensor widened to `i64`; fails for floats. `uint64` above the range of `i64` wraps.
    pub fn to_i64s(&self) -> Result<Vec<i64>, TensorError> {
        Ok(match &self.data {
            TensorData::I64(v) => v.to_vec(),
            TensorData::I32(v) => v.iter().map(|&x| i64::from(x)).collect(),
            TensorData::I16(v) => v.iter().map(|&x| i64::from(x)).collect(),
            TensorData::I8(v) => v.iter().map(|&x| i64::from(x)).collect(),
            TensorData::U8(v) => v.iter().map(|&x| i64::from(x)).collect(),
            TensorData::Bool(v) => v.iter().map(|&x| i64::from(x)).collect(),
            TensorData::U16(v) => v.iter().map(|&x| i64::from(x)).collect(),
            TensorData::U32(v) => v.iter().map(|&x| i64::from(x)).collect(),
            TensorData::U64(v) => v.iter().map(|&x| x as i64).collect(),
            _ => return Err(TensorError::Type { expected: DType::I64, found: self.dtype() }),
        })
    }

    /// Elements of any type as `f64`, for reports and comparisons.
    pub fn to_f64s(&self) -> Vec<f64> {
        match &self.data {
            TensorData::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            TensorData::F64(v) => v.to_vec(),
            TensorData::I64(v) => v.iter().map(|&x| x as f64).collect(),
            TensorData::I32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            TensorData::I16(v) => v.iter().map(|&x| f64::from(x)).collect(),
            TensorData::I8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            TensorData::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            TensorData::Bool(v) => v.iter().map(|&x| f64::from(u8::from(x))).collect(),
            TensorData::U16(v) => v.iter().map(|&x| f64::from(x)).collect(),
            TensorData::U32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            TensorData::U64(v) => v.iter().map(|&x| x as f64).collect(),
        }
    }
}

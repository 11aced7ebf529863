//! Element types of tensors as Rust types, for kernels that serve several of them.

use crate::buffers::Buffers;
use ptq_ir::{Tensor, TensorError};

/// An element type that a tensor can hold.
pub(crate) trait Element: Copy + Default + PartialOrd {
    /// A tensor of these elements.
    fn tensor(shape: &[usize], data: Vec<Self>) -> Result<Tensor, TensorError>;
    /// An empty vector with room for `n` elements.
    fn room(buffers: &Buffers, n: usize) -> Vec<Self>;
    /// The elements of a tensor of this type.
    fn of(tensor: &Tensor) -> Result<&[Self], TensorError>;
}

macro_rules! element {
    ($($ty:ty, $make:ident, $get:ident, |$buffers:ident, $n:ident| $room:expr;)*) => {$(
        impl Element for $ty {
            fn tensor(shape: &[usize], data: Vec<$ty>) -> Result<Tensor, TensorError> {
                Tensor::$make(shape, data)
            }
            fn room($buffers: &Buffers, $n: usize) -> Vec<$ty> {
                $room
            }
            fn of(tensor: &Tensor) -> Result<&[$ty], TensorError> {
                tensor.$get()
            }
        }
    )*};
}

element! {
    f32, from_f32, f32s, |b, n| b.empty(n);
    f64, from_f64, f64s, |_b, n| Vec::with_capacity(n);
    i64, from_i64, i64s, |_b, n| Vec::with_capacity(n);
    i32, from_i32, i32s, |_b, n| Vec::with_capacity(n);
    i16, from_i16, i16s, |_b, n| Vec::with_capacity(n);
    i8, from_i8, i8s, |_b, n| Vec::with_capacity(n);
    u8, from_u8, u8s, |_b, n| Vec::with_capacity(n);
    bool, from_bool, bools, |_b, n| Vec::with_capacity(n);
    u16, from_u16, u16s, |_b, n| Vec::with_capacity(n);
    u32, from_u32, u32s, |_b, n| Vec::with_capacity(n);
    u64, from_u64, u64s, |_b, n| Vec::with_capacity(n);
}

/// A function of two elements that loops call instead of having it built in, so that one loop serves all functions of a
/// type; the elements only name it.
pub(crate) fn called<'f, T, R>(_elements: &[T], f: &'f dyn Fn(T, T) -> R) -> &'f dyn Fn(T, T) -> R {
    f
}

/// `body` with `$v` bound to the elements, whatever their type.
macro_rules! each_type {
    ($tensor:expr, $v:ident => $body:expr) => {
        match $tensor.data() {
            ptq_ir::TensorData::F32(v) => {
                let $v: &[f32] = v;
                $body
            }
            ptq_ir::TensorData::F64(v) => {
                let $v: &[f64] = v;
                $body
            }
            ptq_ir::TensorData::I64(v) => {
                let $v: &[i64] = v;
                $body
            }
            ptq_ir::TensorData::I32(v) => {
                let $v: &[i32] = v;
                $body
            }
            ptq_ir::TensorData::I16(v) => {
                let $v: &[i16] = v;
                $body
            }
            ptq_ir::TensorData::I8(v) => {
                let $v: &[i8] = v;
                $body
            }
            ptq_ir::TensorData::U8(v) => {
                let $v: &[u8] = v;
                $body
            }
            ptq_ir::TensorData::Bool(v) => {
                let $v: &[bool] = v;
                $body
            }
            ptq_ir::TensorData::U16(v) => {
                let $v: &[u16] = v;
                $body
            }
            ptq_ir::TensorData::U32(v) => {
                let $v: &[u32] = v;
                $body
            }
            ptq_ir::TensorData::U64(v) => {
                let $v: &[u64] = v;
                $body
            }
        }
    };
}

/// `float` or `int` with `$v` bound to the elements of a number type; `other` for truth values.
macro_rules! each_number {
    ($tensor:expr, $v:ident => float $float:expr, int $int:expr, other $other:expr) => {
        match $tensor.data() {
            ptq_ir::TensorData::F32(v) => {
                let $v: &[f32] = v;
                $float
            }
            ptq_ir::TensorData::F64(v) => {
                let $v: &[f64] = v;
                $float
            }
            ptq_ir::TensorData::I64(v) => {
                let $v: &[i64] = v;
                $int
            }
            ptq_ir::TensorData::I32(v) => {
                let $v: &[i32] = v;
                $int
            }
            ptq_ir::TensorData::I16(v) => {
                let $v: &[i16] = v;
                $int
            }
            ptq_ir::TensorData::I8(v) => {
                let $v: &[i8] = v;
                $int
            }
            ptq_ir::TensorData::U8(v) => {
                let $v: &[u8] = v;
                $int
            }
            ptq_ir::TensorData::U16(v) => {
                let $v: &[u16] = v;
                $int
            }
            ptq_ir::TensorData::U32(v) => {
                let $v: &[u32] = v;
                $int
            }
            ptq_ir::TensorData::U64(v) => {
                let $v: &[u64] = v;
                $int
            }
            ptq_ir::TensorData::Bool(_) => $other,
        }
    };
}

pub(crate) use {each_number, each_type};

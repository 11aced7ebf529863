//! Element types of integer tensors, for code that is written once.

use ptq_ir::{DType, Tensor, TensorError};

/// An element of an integer tensor.
pub(super) trait Element: Copy + 'static {
    const LOWEST: Self;
    fn wide(self) -> i32;
    fn narrow(value: i32) -> Self;
    fn slice(tensor: &Tensor) -> Result<&[Self], TensorError>;
    fn tensor(shape: &[usize], data: Vec<Self>) -> Result<Tensor, TensorError>;
}

macro_rules! element {
    ($ty:ty, $slice:ident, $make:ident) => {
        impl Element for $ty {
            const LOWEST: Self = <$ty>::MIN;
            fn wide(self) -> i32 {
                self.into()
            }
            fn narrow(value: i32) -> Self {
                value as $ty
            }
            fn slice(tensor: &Tensor) -> Result<&[Self], TensorError> {
                tensor.$slice()
            }
            fn tensor(shape: &[usize], data: Vec<Self>) -> Result<Tensor, TensorError> {
                Tensor::$make(shape, data)
            }
        }
    };
}
element!(i8, i8s, from_i8);
element!(u8, u8s, from_u8);
element!(i32, i32s, from_i32);

/// Work on one 8-bit tensor into another, for all four combinations of signs.
pub(super) trait Pairwise {
    fn run<X: Element, Y: Element>(self) -> Result<Tensor, TensorError>;
}

/// Calls `work` with the element types of two 8-bit tensors.
pub(super) fn for_types(work: impl Pairwise, x: DType, y: DType) -> Result<Tensor, TensorError> {
    match (x, y) {
        (DType::I8, DType::I8) => work.run::<i8, i8>(),
        (DType::I8, _) => work.run::<i8, u8>(),
        (_, DType::I8) => work.run::<u8, i8>(),
        (_, _) => work.run::<u8, u8>(),
    }
}

/// Evaluates `$body` with `$ty` as the element type of a tensor of type `$dtype`.
macro_rules! with_element {
    ($dtype:expr, $ty:ident => $body:expr) => {
        match $dtype {
            ptq_ir::DType::I8 => {
                type $ty = i8;
                $body
            }
            ptq_ir::DType::U8 => {
                type $ty = u8;
                $body
            }
            _ => {
                type $ty = i32;
                $body
            }
        }
    };
}
pub(super) use with_element;

/// The elements of an 8-bit tensor less a zero point.
pub(super) fn centred(tensor: &Tensor, zero: i32) -> Result<Vec<i32>, TensorError> {
    with_element!(tensor.dtype(), E => Ok(E::slice(tensor)?.iter().map(|q| q.wide() - zero).collect()))
}

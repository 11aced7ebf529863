//! Integers as bits: BitShift, BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot, BitCast; and the tests IsInf, IsNaN.

use crate::ExecError;
use crate::broadcast::{common_shape, zip};
use crate::call::Call;
use crate::elements::{Element, each_number};
use ptq_ir::{DType, Tensor, TensorData};

fn both<T: Element>(call: &Call<'_>, a: &[T], f: &dyn Fn(T, T) -> T) -> Result<Tensor, ExecError> {
    let (x, y) = (call.input(0)?, call.input(1)?);
    let out = common_shape(call, &[x.shape(), y.shape()])?;
    let room = T::room(call.buffers, out.iter().product());
    let data = zip(&out, (a, x.shape()), (T::of(y)?, y.shape()), room, f);
    Ok(T::tensor(&out, data)?)
}

fn no_integers(call: &Call<'_>) -> Result<Tensor, ExecError> {
    Err(call.bad(format!("{} is not an integer type", call.input(0)?.dtype())))
}

/// A shift by the type's width or more, or by a negative count, leaves only copies of the sign.
pub(super) fn shift(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let left = match call.attrs.str("direction", "") {
        "LEFT" => true,
        "RIGHT" => false,
        other => return Err(call.bad(format!("direction {other:?} is not LEFT or RIGHT"))),
    };
    macro_rules! shifted {
        ($v:expr, $ty:ty) => {
            both(call, $v, &|x: $ty, n: $ty| match u32::try_from(n).ok().filter(|&n| n < <$ty>::BITS) {
                Some(n) if left => x << n,
                Some(n) => x >> n,
                None if left => 0,
                None => (x >> (<$ty>::BITS - 1)) >> 1,
            })
        };
    }
    match call.input(0)?.data() {
        TensorData::U8(v) => shifted!(v, u8),
        TensorData::U16(v) => shifted!(v, u16),
        TensorData::U32(v) => shifted!(v, u32),
        TensorData::U64(v) => shifted!(v, u64),
        TensorData::I8(v) => shifted!(v, i8),
        TensorData::I16(v) => shifted!(v, i16),
        TensorData::I32(v) => shifted!(v, i32),
        TensorData::I64(v) => shifted!(v, i64),
        _ => no_integers(call),
    }
}

macro_rules! integers {
    ($call:expr, $v:ident => $body:expr) => {
        match $call.input(0)?.data() {
            TensorData::U8($v) => $body,
            TensorData::U16($v) => $body,
            TensorData::U32($v) => $body,
            TensorData::U64($v) => $body,
            TensorData::I8($v) => $body,
            TensorData::I16($v) => $body,
            TensorData::I32($v) => $body,
            TensorData::I64($v) => $body,
            _ => no_integers($call),
        }
    };
}

pub(super) fn and(call: &Call<'_>) -> Result<Tensor, ExecError> {
    integers!(call, v => both(call, v, &|x, y| x & y))
}

pub(super) fn or(call: &Call<'_>) -> Result<Tensor, ExecError> {
    integers!(call, v => both(call, v, &|x, y| x | y))
}

pub(super) fn xor(call: &Call<'_>) -> Result<Tensor, ExecError> {
    integers!(call, v => both(call, v, &|x, y| x ^ y))
}

pub(super) fn not(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let shape = call.input(0)?.shape();
    integers!(call, v => Ok(Element::tensor(shape, v.iter().map(|&x| !x).collect())?))
}

/// The same bytes as another type of the same width.
pub(super) fn cast(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let number = call.attrs.int("to", 0);
    let to = i32::try_from(number).ok().and_then(DType::from_onnx).filter(|to| to.bytes() == x.dtype().bytes());
    let to = to.ok_or_else(|| call.bad(format!("{} has no bits of element type {number}", x.dtype())))?;
    Ok(Tensor::from_le_bytes(to, x.shape(), &x.to_le_bytes())?)
}

pub(super) fn is_nan(call: &Call<'_>) -> Result<Tensor, ExecError> {
    tested(call, f64::is_nan)
}

pub(super) fn is_inf(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let positive = call.attrs.int("detect_positive", 1) != 0;
    let negative = call.attrs.int("detect_negative", 1) != 0;
    tested(call, move |v| (positive && v == f64::INFINITY) || (negative && v == f64::NEG_INFINITY))
}

#[allow(clippy::useless_conversion, reason = "one body for float32 and float64")]
fn tested(call: &Call<'_>, test: impl Fn(f64) -> bool) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    each_number!(x,
        v => float Ok(Tensor::from_bool(x.shape(), v.iter().map(|&v| test(f64::from(v))).collect())?),
        int { let _ = v; Err(call.bad("needs floating-point numbers")) },
        other Err(call.bad("needs floating-point numbers")))
}

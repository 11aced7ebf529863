//! Comparisons, truth functions and Where, with broadcasting.

use crate::ExecError;
use crate::broadcast::{common_shape, zip, zip3};
use crate::call::Call;
use crate::elements::{Element, called, each_number, each_type};
use ptq_ir::Tensor;

fn compared<T: Element>(call: &Call<'_>, a: &[T], f: impl Fn(T, T) -> bool) -> Result<Tensor, ExecError> {
    let (x, y) = (call.input(0)?, call.input(1)?);
    let out = common_shape(call, &[x.shape(), y.shape()])?;
    let room = Vec::with_capacity(out.iter().product());
    let data = zip(&out, (a, x.shape()), (T::of(y)?, y.shape()), room, f);
    Ok(Tensor::from_bool(out, data)?)
}

/// A comparison of numbers; truth values have no order.
macro_rules! ordered {
    ($call:expr, |$x:ident, $y:ident| $f:expr) => {
        each_number!($call.input(0)?,
            v => float compared($call, v, called(v, &|$x, $y| $f)),
            int compared($call, v, called(v, &|$x, $y| $f)),
            other Err($call.bad("truth values have no order")))
    };
}

pub(super) fn equal(call: &Call<'_>) -> Result<Tensor, ExecError> {
    each_type!(call.input(0)?, v => compared(call, v, called(v, &|x, y| x == y)))
}

pub(super) fn less(call: &Call<'_>) -> Result<Tensor, ExecError> {
    ordered!(call, |x, y| x < y)
}

pub(super) fn less_or_equal(call: &Call<'_>) -> Result<Tensor, ExecError> {
    ordered!(call, |x, y| x <= y)
}

pub(super) fn greater(call: &Call<'_>) -> Result<Tensor, ExecError> {
    ordered!(call, |x, y| x > y)
}

pub(super) fn greater_or_equal(call: &Call<'_>) -> Result<Tensor, ExecError> {
    ordered!(call, |x, y| x >= y)
}

fn truth(call: &Call<'_>, f: &dyn Fn(bool, bool) -> bool) -> Result<Tensor, ExecError> {
    compared(call, call.input(0)?.bools()?, f)
}

pub(super) fn and(call: &Call<'_>) -> Result<Tensor, ExecError> {
    truth(call, &|x, y| x && y)
}

pub(super) fn or(call: &Call<'_>) -> Result<Tensor, ExecError> {
    truth(call, &|x, y| x || y)
}

pub(super) fn xor(call: &Call<'_>) -> Result<Tensor, ExecError> {
    truth(call, &|x, y| x != y)
}

pub(super) fn not(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    Ok(Tensor::from_bool(x.shape(), x.bools()?.iter().map(|&v| !v).collect())?)
}

/// `condition ? x : y`.
pub(super) fn where_(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(1)?;
    each_type!(x, v => chosen(call, v))
}

fn chosen<T: Element>(call: &Call<'_>, x: &[T]) -> Result<Tensor, ExecError> {
    let (c, x_shape, y) = (call.input(0)?, call.input(1)?.shape(), call.input(2)?);
    let out = common_shape(call, &[c.shape(), x_shape, y.shape()])?;
    let pick = |c: bool, x: T, y: T| if c { x } else { y };
    let data = zip3(&out, (c.bools()?, c.shape()), (x, x_shape), (T::of(y)?, y.shape()), pick);
    Ok(T::tensor(&out, data)?)
}

//! Add, Sub, Mul, Div, Mod, Pow, PRelu, Min, Max, Sum, Mean with broadcasting. Integers wrap; integer division truncates.

use crate::ExecError;
use crate::broadcast::{common_shape, zip};
use crate::call::Call;
use crate::elements::{Element, called, each_number};
use crate::ops::cast::convert;
use ptq_ir::{DType, Tensor, TensorData};
use ptq_kernels::math;

/// A function of two tensors of one number type, given for floats and for integers. Loops are made for float32; all
/// others call the function for each element, which keeps the program small.
macro_rules! binary {
    ($call:expr, $a:expr, $b:expr, |$x:ident, $y:ident| float $float:expr, int $int:expr) => {{
        let (call, a, b): (&Call<'_>, &Tensor, &Tensor) = ($call, $a, $b);
        match a.data() {
            TensorData::F32(v) => numeric(call, a, v, b, |$x: f32, $y: f32| $float),
            _ => each_number!(a,
                v => float numeric(call, a, v, b, called(v, &|$x, $y| $float)),
                int numeric(call, a, v, b, called(v, &|$x, $y| $int)),
                other Err(call.bad("truth values are not numbers"))),
        }
    }};
}

fn numeric<T: Element>(
    call: &Call<'_>,
    a: &Tensor,
    v: &[T],
    b: &Tensor,
    f: impl Fn(T, T) -> T,
) -> Result<Tensor, ExecError> {
    let out = common_shape(call, &[a.shape(), b.shape()])?;
    let room = T::room(call.buffers, out.iter().product());
    let data = zip(&out, (v, a.shape()), (T::of(b)?, b.shape()), room, f);
    Ok(T::tensor(&out, data)?)
}

pub(super) fn add(call: &Call<'_>) -> Result<Tensor, ExecError> {
    binary!(call, call.input(0)?, call.input(1)?, |x, y| float x + y, int x.wrapping_add(y))
}

pub(super) fn sub(call: &Call<'_>) -> Result<Tensor, ExecError> {
    binary!(call, call.input(0)?, call.input(1)?, |x, y| float x - y, int x.wrapping_sub(y))
}

pub(super) fn mul(call: &Call<'_>) -> Result<Tensor, ExecError> {
    binary!(call, call.input(0)?, call.input(1)?, |x, y| float x * y, int x.wrapping_mul(y))
}

pub(super) fn div(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    refuse_zero(call, b)?;
    binary!(call, a, b, |x, y| float x / y, int x.wrapping_div(y))
}

/// Remainder with the sign of the divisor (as Python), or of the dividend with `fmod = 1` (as C).
pub(super) fn modulo(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    refuse_zero(call, b)?;
    if call.attrs.int("fmod", 0) != 0 {
        return binary!(call, a, b, |x, y| float x % y, int x.wrapping_rem(y));
    }
    if a.dtype().is_float() {
        return Err(call.bad("floats need fmod = 1"));
    }
    binary!(call, a, b, |x, y| float x % y, int {
        let r = x.wrapping_rem(y);
        if r != Default::default() && (r < Default::default()) != (y < Default::default()) { r.wrapping_add(y) } else { r }
    })
}

fn refuse_zero(call: &Call<'_>, b: &Tensor) -> Result<(), ExecError> {
    if b.dtype().is_integer() && b.to_i64s()?.contains(&0) {
        return Err(call.bad("integer division by zero"));
    }
    Ok(())
}

/// `x^y` in the type of `x`; the exponent may have another type. Squares, roots and reciprocals are single operations.
pub(super) fn pow(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if !a.dtype().is_float() && !b.dtype().is_float() {
        let (x, y) = (convert(a, DType::I64)?, convert(b, DType::I64)?);
        let power = |x: i64, y: i64| match u32::try_from(y) {
            Ok(n) => x.wrapping_pow(n),
            Err(_) => match x {
                1 => 1,
                -1 if y % 2 == 0 => 1,
                -1 => -1,
                _ => 0,
            },
        };
        return convert(&numeric(call, &x, x.i64s()?, &y, called(&[0i64], &power))?, a.dtype());
    }
    if a.dtype() != DType::F32 {
        let (x, y) = (convert(a, DType::F64)?, convert(b, DType::F64)?);
        return convert(&numeric(call, &x, x.f64s()?, &y, called(&[0.0], &math::wide::pow))?, a.dtype());
    }
    let y = convert(b, DType::F32)?;
    let (x, v) = (a, a.f32s()?);
    match y.f32s()? {
        [2.0] => numeric(call, x, v, &y, |x, _| x * x),
        [3.0] => numeric(call, x, v, &y, |x, _| x * x * x),
        [1.0] => numeric(call, x, v, &y, called(v, &|x, _| x)),
        [-1.0] => numeric(call, x, v, &y, |x, _| 1.0 / x),
        _ => numeric(call, x, v, &y, called(v, &math::pow)),
    }
}

/// `x` where it is not negative, else `slope · x`; the slope broadcasts to `x`.
pub(super) fn prelu(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    if common_shape(call, &[x.shape(), slope.shape()])? != x.shape() {
        return Err(call.bad(format!("slope {:?} does not broadcast to {:?}", slope.shape(), x.shape())));
    }
    binary!(call, x, slope, |x, s| float if x < 0.0 { s * x } else { x },
        int if x < Default::default() { s.wrapping_mul(x) } else { x })
}

pub(super) fn min(call: &Call<'_>) -> Result<Tensor, ExecError> {
    fold(call, |call, a, b| binary!(call, a, b, |x, y| float if x.is_nan() || x < y { x } else { y }, int x.min(y)))
}

pub(super) fn max(call: &Call<'_>) -> Result<Tensor, ExecError> {
    fold(call, |call, a, b| binary!(call, a, b, |x, y| float if x.is_nan() || x > y { x } else { y }, int x.max(y)))
}

pub(super) fn sum(call: &Call<'_>) -> Result<Tensor, ExecError> {
    fold(call, |call, a, b| binary!(call, a, b, |x, y| float x + y, int x.wrapping_add(y)))
}

pub(super) fn mean(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let total = sum(call)?;
    let n = convert(&Tensor::scalar_f32(call.inputs.len() as f32), total.dtype())?;
    binary!(call, &total, &n, |x, y| float x / y, int x.wrapping_div(y))
}

/// Left fold over all inputs, in their order.
fn fold(
    call: &Call<'_>,
    f: impl Fn(&Call<'_>, &Tensor, &Tensor) -> Result<Tensor, ExecError>,
) -> Result<Tensor, ExecError> {
    let inputs = call.all()?;
    let mut out = inputs[0].clone();
    for t in &inputs[1..] {
        out = f(call, &out, t)?;
    }
    Ok(out)
}

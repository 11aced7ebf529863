//! Tensors made from a shape: ConstantOfShape, Range, Expand, Tile.

use crate::ExecError;
use crate::broadcast::{common_shape, steps_within};
use crate::call::Call;
use crate::elements::{Element, each_type};
use crate::loops::{steps_of, strided};
use ptq_ir::{Attr, Tensor, TensorData};

pub(super) fn constant_of_shape(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let shape = call.shape(&call.input(0)?.to_i64s()?)?;
    let zero = Tensor::scalar_f32(0.0);
    let value = match call.attrs.get("value") {
        Some(Attr::Tensor(t)) if t.len() == 1 => t,
        Some(_) => return Err(call.bad("value is not a tensor of one element")),
        None => &zero,
    };
    each_type!(value, v => filled(&shape, v[0]))
}

fn filled<T: Element>(shape: &[usize], v: T) -> Result<Tensor, ExecError> {
    Ok(T::tensor(shape, vec![v; shape.iter().product()])?)
}

/// `start + i·delta` for all `i` before `limit`.
pub(super) fn range(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (start, limit, delta) = (call.input(0)?, call.input(1)?, call.input(2)?);
    if [start, limit, delta].iter().any(|t| t.len() != 1) {
        return Err(call.bad("start, limit and delta must have one element each"));
    }
    let count = |start: f64, limit: f64, delta: f64| {
        let n = ((limit - start) / delta).ceil().max(0.0);
        if delta == 0.0 || !n.is_finite() {
            return Err(call.bad("start, limit and delta give no finite range"));
        }
        call.bounded(&[n as usize])
    };
    macro_rules! made {
        ($v:expr, $get:ident, $make:ident, |$s:ident, $i:ident, $d:ident| $at:expr) => {{
            let ($s, l, $d) = ($v[0], limit.$get()?[0], delta.$get()?[0]);
            let n = count($s as f64, l as f64, $d as f64)?;
            Ok(Tensor::$make([n], (0..n).map(|$i| $at).collect())?)
        }};
    }
    match start.data() {
        TensorData::F32(v) => made!(v, f32s, from_f32, |s, i, d| s + i as f32 * d),
        TensorData::F64(v) => made!(v, f64s, from_f64, |s, i, d| s + i as f64 * d),
        TensorData::I64(v) => made!(v, i64s, from_i64, |s, i, d| s.wrapping_add((i as i64).wrapping_mul(d))),
        TensorData::I32(v) => made!(v, i32s, from_i32, |s, i, d| s.wrapping_add((i as i32).wrapping_mul(d))),
        TensorData::I16(v) => made!(v, i16s, from_i16, |s, i, d| s.wrapping_add((i as i16).wrapping_mul(d))),
        _ => Err(call.bad(format!("{} is not a type of Range", start.dtype()))),
    }
}

pub(super) fn expand(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let wanted = call.shape(&call.input(1)?.to_i64s()?)?;
    let out = common_shape(call, &[x.shape(), &wanted])?;
    let steps = steps_within(x.shape(), &out);
    each_type!(x, v => Ok(Element::tensor(&out, strided(v, &out, 0, &steps))?))
}

/// Repeats along each axis: a copy with the loops `repeat, index` for every axis, the first with step 0.
pub(super) fn tile(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let repeats = call.shape(&call.input(1)?.to_i64s()?)?;
    if repeats.len() != x.shape().len() {
        return Err(call.bad(format!("{} repeats for rank {}", repeats.len(), x.shape().len())));
    }
    let out: Vec<usize> = x.shape().iter().zip(&repeats).map(|(&n, &r)| n.saturating_mul(r)).collect();
    call.bounded(&out)?;
    let loops: Vec<usize> = repeats.iter().zip(x.shape()).flat_map(|(&r, &n)| [r, n]).collect();
    let steps: Vec<isize> = steps_of(x.shape()).into_iter().flat_map(|s| [0, s]).collect();
    each_type!(x, v => Ok(Element::tensor(&out, strided(v, &loops, 0, &steps))?))
}

//! ScatterElements and ScatterND: a copy of the data with updates at computed places, in the order of the updates.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_number, each_type};
use crate::ops::gather_nd::{block_offsets, element_offsets};
use ptq_ir::Tensor;

pub(super) fn elements(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let axis = call.axis(call.attrs.int("axis", 0), x.shape().len())?;
    if updates.shape() != indices.shape() {
        return Err(call.bad(format!("updates {:?} and indices {:?} differ", updates.shape(), indices.shape())));
    }
    updated(call, &element_offsets(call, x.shape(), indices, axis)?, 1)
}

pub(super) fn blocks(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (offsets, block) = block_offsets(call, x.shape(), indices, 0)?;
    if updates.len() != offsets.len() * block {
        return Err(call.bad(format!("updates {:?} do not fit {} blocks", updates.shape(), offsets.len())));
    }
    updated(call, &offsets, block)
}

/// The data with runs of `block` updates joined in at the offsets.
#[allow(clippy::bool_comparison, reason = "one body for all types")]
fn updated(call: &Call<'_>, offsets: &[usize], block: usize) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let bools = || call.bad("truth values are not numbers");
    match call.attrs.str("reduction", "none") {
        "none" => each_type!(x, v => joined(call, v, offsets, block, &|_, u| u)),
        "add" => each_number!(x, v => float joined(call, v, offsets, block, &|a, u| a + u),
            int joined(call, v, offsets, block, &|a, u| a.wrapping_add(u)), other Err(bools())),
        "mul" => each_number!(x, v => float joined(call, v, offsets, block, &|a, u| a * u),
            int joined(call, v, offsets, block, &|a, u| a.wrapping_mul(u)), other Err(bools())),
        "max" => each_type!(x, v => joined(call, v, offsets, block, &|a, u| if u > a { u } else { a })),
        "min" => each_type!(x, v => joined(call, v, offsets, block, &|a, u| if u < a { u } else { a })),
        other => Err(call.bad(format!("reduction {other:?} is not an ONNX mode"))),
    }
}

fn joined<T: Element>(
    call: &Call<'_>,
    v: &[T],
    offsets: &[usize],
    block: usize,
    join: &dyn Fn(T, T) -> T,
) -> Result<Tensor, ExecError> {
    let updates = T::of(call.input(2)?)?;
    let mut out = v.to_vec();
    for (&at, run) in offsets.iter().zip(updates.chunks_exact(block.max(1))) {
        for (slot, &u) in out[at..].iter_mut().zip(run) {
            *slot = join(*slot, u);
        }
    }
    Ok(T::tensor(call.input(0)?.shape(), out)?)
}

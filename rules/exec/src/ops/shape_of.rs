//! Shape and Size.

use crate::ExecError;
use crate::call::Call;
use ptq_ir::{Tensor, ops};

pub(super) fn shape(call: &Call<'_>) -> Result<Tensor, ExecError> {
    Ok(Tensor::vec_i64(ops::shape_slice(call.attrs, call.input(0)?.shape())))
}

pub(super) fn size(call: &Call<'_>) -> Result<Tensor, ExecError> {
    Ok(Tensor::from_i64(Vec::new(), vec![call.input(0)?.len() as i64])?)
}

//! AveragePool, MaxPool and their global forms: kernels for one and two spatial dimensions.

use super::pool_nd;
use crate::ExecError;
use crate::call::Call;
use ptq_ir::ops::PoolGeom;
use ptq_ir::{Tensor, TensorData};
use ptq_kernels::{average_pool, max_pool};

pub(super) fn average(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    if x.shape().len() > 4 {
        return pool_nd::average(call);
    }
    let (geom, hw, out_hw, shape) = window(call, x.shape())?;
    let mut out = call.buffers.any(call.bounded(&shape)?);
    average_pool(&geom, x.f32s()?, hw, &mut out, out_hw);
    Ok(Tensor::from_f32(shape, out)?)
}

/// Indices are computed when they are asked for.
pub(super) fn max(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    let x = call.input(0)?;
    if x.shape().len() > 4 || call.outputs > 1 {
        return pool_nd::max(call);
    }
    let (geom, hw, out_hw, shape) = window(call, x.shape())?;
    let n = call.bounded(&shape)?;
    macro_rules! pooled {
        ($v:expr, $make:ident, $lowest:expr) => {{
            let mut out = vec![$lowest; n];
            max_pool(&geom, $lowest, $v, hw, &mut out, out_hw);
            Ok(vec![Tensor::$make(shape, out)?])
        }};
    }
    match x.data() {
        TensorData::F32(v) => pooled!(v, from_f32, f32::NEG_INFINITY),
        TensorData::F64(v) => pooled!(v, from_f64, f64::NEG_INFINITY),
        TensorData::I8(v) => pooled!(v, from_i8, i8::MIN),
        TensorData::U8(v) => pooled!(v, from_u8, u8::MIN),
        _ => Err(call.bad(format!("{} is not a type of pooling", x.dtype()))),
    }
}

/// Window, image, output image and output shape.
type Window = (PoolGeom, [usize; 2], [usize; 2], Vec<usize>);

fn window(call: &Call<'_>, x: &[usize]) -> Result<Window, ExecError> {
    let x4 = match *x {
        [n, c, w] => [n, c, 1, w],
        [n, c, h, w] => [n, c, h, w],
        _ => return Err(call.bad(format!("rank {}: one or two spatial dimensions are expected", x.len()))),
    };
    if x4[2] == 0 || x4[3] == 0 {
        return Err(call.bad("the image is empty"));
    }
    let geom = if call.op.starts_with("Global") {
        PoolGeom::global([x4[2], x4[3]])
    } else {
        one_dimensional(PoolGeom::of(&call.node(), &x4), x.len(), call)?
    };
    let hw = [x4[2], x4[3]];
    let out_hw = geom.out_hw(hw).ok_or_else(|| call.bad("the window does not fit"))?;
    let mut shape = x.to_vec();
    let spatial = shape.len() - 2;
    shape[2..].copy_from_slice(&out_hw[2 - spatial..]);
    Ok((geom, hw, out_hw, shape))
}

/// A one-dimensional kernel is read with the default height 0; its height is 1.
fn one_dimensional(
    read: Result<PoolGeom, ptq_ir::Diagnostic>,
    rank: usize,
    call: &Call<'_>,
) -> Result<PoolGeom, ExecError> {
    match (rank, call.attrs.ints("kernel_shape")) {
        (3, Some(&[w])) => {
            let mut node = call.node();
            node.attrs.set("kernel_shape", ptq_ir::Attr::Ints(vec![1, w]));
            let shape = call.input(0)?.shape();
            Ok(PoolGeom::of(&node, &[shape[0], shape[1], 1, shape[2]])?)
        }
        _ => Ok(read?),
    }
}

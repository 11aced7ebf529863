//! Operators that move elements.

use super::quant::{check_requant, check_result};
use super::{activation, eight_bit, same_shape, same_type, shape_is};
use ptq_ir::{QConcat, QRequantize, QTensor, numel, ops};

pub(super) fn check_concat(concat: &QConcat, inputs: &[&QTensor], output: &QTensor) -> Result<(), String> {
    let axis = concat.axis;
    if concat.requant.len() != inputs.len() || axis >= output.shape.len() {
        return Err(format!("axis {axis} or the number of requantizations does not fit"));
    }
    let mut extent = 0usize;
    for (x, requant) in inputs.iter().zip(&concat.requant) {
        let mut shape = x.shape.clone();
        if shape.len() != output.shape.len() {
            return Err(format!("{} has rank {}, the output {}", x.name, shape.len(), output.shape.len()));
        }
        extent = extent.checked_add(shape[axis]).ok_or("the extent overflows")?;
        shape[axis] = output.shape[axis];
        shape_is(output, &shape)?;
        match requant {
            None => same_type(x, output)?,
            Some(requant) => {
                activation(x)?;
                let (lo, hi) = activation(output)?;
                check_requant(requant, &[1])?;
                check_result(output, concat.out_zero, lo, hi)?;
            }
        }
    }
    if extent == output.shape[axis] { Ok(()) } else { Err(format!("inputs have extent {extent} along axis {axis}")) }
}

pub(super) fn check_requantize(requantize: &QRequantize, x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_shape(x, output)?;
    activation(x)?;
    let (lo, hi) = activation(output)?;
    check_requant(&requantize.requant, &[1])?;
    check_result(output, requantize.out_zero, lo, hi)
}

pub(super) fn check_resize(resize: &ops::NearestResize, x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    let [outer @ .., h, w] = x.shape.as_slice() else {
        return Err(format!("{} has rank {}, at least 2 is needed", x.name, x.shape.len()));
    };
    shape_is(output, &[outer, &[resize.rows.len(), resize.cols.len()]].concat())?;
    let inside = |table: &[u32], extent: usize| table.iter().all(|&i| (i as usize) < extent);
    if inside(&resize.rows, *h) && inside(&resize.cols, *w) { Ok(()) } else { Err("a source pixel is outside".into()) }
}

pub(super) fn check_linear_resize(resize: &ops::LinearResize, x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    eight_bit(x)?;
    let [n, c, h, w] = rank_4(x)?;
    shape_is(output, &[n, c, resize.rows.len(), resize.cols.len()])?;
    let inside = |taps: &[ops::LinearTap], extent: usize| {
        taps.iter().all(|t| (t.lo.max(t.hi) as usize) < extent && t.weight <= 1 << ops::WEIGHT_BITS)
    };
    if inside(&resize.rows, h) && inside(&resize.cols, w) { Ok(()) } else { Err("a source pixel is outside".into()) }
}

pub(super) fn check_reshape(x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    if numel(&x.shape) == numel(&output.shape) {
        Ok(())
    } else {
        Err(format!("{:?} and {:?} have different element counts", x.shape, output.shape))
    }
}

pub(super) fn check_transpose(perm: &[usize], x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if sorted != (0..x.shape.len()).collect::<Vec<_>>() {
        return Err(format!("{perm:?} is not a permutation of {} axes", x.shape.len()));
    }
    shape_is(output, &perm.iter().map(|&a| x.shape[a]).collect::<Vec<_>>())
}

pub(super) fn check_depth_to_space(block: ops::BlockMove, x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    let shape = rank_4(x).and_then(|shape| {
        block.to_space(shape).ok_or_else(|| format!("{:?} has no whole blocks of {}", x.shape, block.block))
    })?;
    shape_is(output, &shape)
}

pub(super) fn check_space_to_depth(block: usize, x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    let back = ops::BlockMove { block, order: ops::BlockOrder::Dcr }.to_space(rank_4(output)?);
    match back {
        Some(shape) => shape_is(x, &shape),
        None => Err(format!("{:?} has no whole blocks of {block}", output.shape)),
    }
}

pub(super) fn check_gather(axis: usize, indices: &[u32], x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    let mut shape = x.shape.clone();
    let extent = shape.get_mut(axis).ok_or_else(|| format!("axis {axis} is outside {:?}", x.shape))?;
    if indices.iter().any(|&i| i as usize >= *extent) {
        return Err(format!("an index is outside axis {axis} of {:?}", x.shape));
    }
    *extent = indices.len();
    shape_is(output, &shape)
}

pub(super) fn check_pad(before: &[usize], value: i32, x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    let (lo, hi) = activation(x)?;
    let rank = x.shape.len();
    let inside = |d: usize| before[d].checked_add(x.shape[d]).is_some_and(|end| end <= output.shape[d]);
    if before.len() != rank || output.shape.len() != rank || !(0..rank).all(inside) {
        return Err(format!("{:?} at {before:?} is not inside {:?}", x.shape, output.shape));
    }
    if (lo..=hi).contains(&value) { Ok(()) } else { Err(format!("the filling {value} is outside {}", x.dtype)) }
}

pub(super) fn check_slice(starts: &[usize], x: &QTensor, output: &QTensor) -> Result<(), String> {
    same_type(x, output)?;
    let rank = x.shape.len();
    let inside = |d: usize| starts[d].checked_add(output.shape[d]).is_some_and(|end| end <= x.shape[d]);
    if starts.len() == rank && output.shape.len() == rank && (0..rank).all(inside) {
        Ok(())
    } else {
        Err(format!("a box of {:?} at {starts:?} is not inside {:?}", output.shape, x.shape))
    }
}

fn rank_4(t: &QTensor) -> Result<[usize; 4], String> {
    t.shape.as_slice().try_into().map_err(|_| format!("{} has rank {}, not 4", t.name, t.shape.len()))
}

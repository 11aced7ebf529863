//! Resize, Transpose, blocks, boxes, tables of indices: elements move, values stay.

use super::operand::{Operand, bad, count, tensor};
use crate::ExecError;
use ptq_ir::ops::{BlockMove, BlockOrder, LinearResize, NearestResize, WEIGHT_BITS};
use ptq_ir::{Tensor, strides};

pub(super) fn resize(resize: &NearestResize, x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let [lead @ .., height, width] = x.data.shape() else {
        return Err(bad(x.info, "has no image axes".into()));
    };
    let (height, width) = (*height, *width);
    let outside = |table: &[u32], extent: usize| table.iter().any(|&i| i as usize >= extent);
    if outside(&resize.rows, height) || outside(&resize.cols, width) {
        return Err(bad(x.info, "a resize table points outside the image".into()));
    }
    let mut y = Vec::new();
    for plane in x.ints()?.chunks_exact((height * width).max(1)) {
        for &row in &resize.rows {
            y.extend(resize.cols.iter().map(|&col| plane[row as usize * width + col as usize]));
        }
    }
    let mut shape = lead.to_vec();
    shape.extend([resize.rows.len(), resize.cols.len()]);
    tensor(x.info, &shape, y)
}

pub(super) fn linear_resize(resize: &LinearResize, x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let [n, c, h, w] = x.nchw()?;
    let taps = resize.rows.iter().map(|t| (t, h)).chain(resize.cols.iter().map(|t| (t, w)));
    if taps.into_iter().any(|(t, extent)| t.lo.max(t.hi) as usize >= extent || t.weight > 1 << WEIGHT_BITS) {
        return Err(bad(x.info, "a resize table points outside the image".into()));
    }
    let values = x.ints()?;
    let mut y = Vec::new();
    for plane in values.chunks_exact((h * w).max(1)) {
        for row in &resize.rows {
            for col in &resize.cols {
                let (down, across) = (row.weight as i32, col.weight as i32);
                let one = 1 << WEIGHT_BITS;
                let corners = [
                    (row.lo, col.lo, (one - down) * (one - across)),
                    (row.lo, col.hi, (one - down) * across),
                    (row.hi, col.lo, down * (one - across)),
                    (row.hi, col.hi, down * across),
                ];
                let sum =
                    corners.iter().map(|&(i, j, weight)| (plane[i as usize * w + j as usize] - x.zero()) * weight);
                y.push(LinearResize::round(sum.sum()) + x.zero());
            }
        }
    }
    tensor(x.info, &[n, c, resize.rows.len(), resize.cols.len()], y)
}

pub(super) fn transpose(perm: &[usize], x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..x.data.shape().len()) {
        return Err(bad(x.info, format!("perm {perm:?} does not name every axis once")));
    }
    let from = strides(x.data.shape());
    let shape: Vec<usize> = perm.iter().map(|&p| x.data.shape()[p]).collect();
    let to = strides(&shape);
    let values = x.ints()?;
    let y = (0..count(x.info, &shape)?)
        .map(|i| values[(0..perm.len()).map(|d| i / to[d] % shape[d] * from[perm[d]]).sum::<usize>()])
        .collect();
    tensor(x.info, &shape, y)
}

pub(super) fn depth_to_space(block: BlockMove, x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let [n, c, h, w] = x.nchw()?;
    let shape = block.to_space([n, c, h, w]);
    let shape = shape.ok_or_else(|| bad(x.info, format!("{c} channels are not whole blocks of {}", block.block)))?;
    let [_, oc, oh, ow] = shape;
    let values = x.ints()?;
    let mut y = Vec::with_capacity(values.len());
    for (image, channel) in (0..n).flat_map(|image| (0..oc).map(move |channel| (image, channel))) {
        for (row, col) in (0..oh).flat_map(|row| (0..ow).map(move |col| (row, col))) {
            let from = block.channel(oc, channel, row % block.block, col % block.block);
            y.push(values[((image * c + from) * h + row / block.block) * w + col / block.block]);
        }
    }
    tensor(x.info, &shape, y)
}

pub(super) fn space_to_depth(block: usize, x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let [n, c, h, w] = x.nchw()?;
    if block == 0 || h % block != 0 || w % block != 0 {
        return Err(bad(x.info, format!("{h} x {w} pixels are not whole blocks of {block}")));
    }
    let shape = [n, c * block * block, h / block, w / block];
    let inverse = BlockMove { block, order: BlockOrder::Dcr };
    let values = x.ints()?;
    let mut y = vec![0; values.len()];
    for (at, value) in values.into_iter().enumerate() {
        let (col, row, plane) = (at % w, at / w % h, at / (h * w));
        let to = inverse.channel(c, plane % c, row % block, col % block);
        y[((plane / c * shape[1] + to) * shape[2] + row / block) * shape[3] + col / block] = value;
    }
    tensor(x.info, &shape, y)
}

pub(super) fn gather(axis: usize, indices: &[u32], x: &Operand<'_>) -> Result<Tensor, ExecError> {
    let mut shape = x.data.shape().to_vec();
    let extent = *shape.get(axis).ok_or_else(|| bad(x.info, format!("axis {axis} is outside {shape:?}")))?;
    if indices.iter().any(|&i| i as usize >= extent) {
        return Err(bad(x.info, "an index is outside the axis".into()));
    }
    let inner: usize = shape[axis + 1..].iter().product();
    let mut y = Vec::new();
    for block in x.ints()?.chunks_exact((extent * inner).max(1)) {
        indices.iter().for_each(|&i| y.extend_from_slice(&block[i as usize * inner..(i as usize + 1) * inner]));
    }
    shape[axis] = indices.len();
    tensor(x.info, &shape, y)
}

pub(super) fn pad(before: &[usize], value: i32, x: &Operand<'_>, shape: &[usize]) -> Result<Tensor, ExecError> {
    let extents = x.data.shape();
    let inside = before.len() == extents.len()
        && shape.len() == extents.len()
        && (0..extents.len()).all(|d| before[d].checked_add(extents[d]).is_some_and(|end| end <= shape[d]));
    if !inside {
        return Err(bad(x.info, format!("{extents:?} at {before:?} is not inside {shape:?}")));
    }
    let (from, to) = (strides(extents), strides(shape));
    let mut y = vec![value; count(x.info, shape)?];
    for (i, v) in x.ints()?.into_iter().enumerate() {
        y[(0..extents.len()).map(|d| (i / from[d] % extents[d] + before[d]) * to[d]).sum::<usize>()] = v;
    }
    tensor(x.info, shape, y)
}

pub(super) fn slice(starts: &[usize], x: &Operand<'_>, shape: &[usize]) -> Result<Tensor, ExecError> {
    let extents = x.data.shape();
    let inside = starts.len() == extents.len()
        && shape.len() == extents.len()
        && (0..extents.len()).all(|d| starts[d].checked_add(shape[d]).is_some_and(|end| end <= extents[d]));
    if !inside {
        return Err(bad(x.info, format!("a box of {shape:?} at {starts:?} is not inside")));
    }
    let (from, to) = (strides(extents), strides(shape));
    let values = x.ints()?;
    let y = (0..count(x.info, shape)?)
        .map(|i| values[(0..shape.len()).map(|d| (i / to[d] % shape[d] + starts[d]) * from[d]).sum::<usize>()])
        .collect();
    tensor(x.info, shape, y)
}

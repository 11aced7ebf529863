//! Operators that only move elements.

use super::Call;
use super::nchw;
use ptq_ir::ops::{BlockMove, NearestResize};
use ptq_ir::strides;
use ptq_sim::{depth_to_space_axes, from_storage, space_to_depth_axes, storage_axes, storage_dims, to_storage};

/// Elements of `x` at these strides (in elements), over these extents, outermost first.
pub(super) fn gather(x: &[u8], dims: &[usize], strides: &[usize], elem: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(dims.iter().product::<usize>() * elem);
    let (inner, step) = (dims.last().copied().unwrap_or(1), strides.last().copied().unwrap_or(0));
    let outer = dims.len().saturating_sub(1);
    let mut index = vec![0usize; outer];
    let mut at = 0;
    for _ in 0..dims[..outer].iter().product() {
        if step == 1 {
            out.extend_from_slice(&x[at * elem..(at + inner) * elem]);
        } else {
            (0..inner).for_each(|i| out.extend_from_slice(&x[(at + i * step) * elem..(at + i * step + 1) * elem]));
        }
        for d in (0..outer).rev() {
            index[d] += 1;
            at += strides[d];
            if index[d] < dims[d] {
                break;
            }
            at -= strides[d] * dims[d];
            index[d] = 0;
        }
    }
    out
}

/// Axis permutation.
pub(crate) fn transpose(call: &Call<'_>, perm: &[usize]) -> Vec<u8> {
    let x = call.input(0);
    let axes = storage_axes(perm.len());
    let own = strides(&storage_dims(&x.shape));
    let stored = |axis: usize| axes.iter().position(|&a| a == axis).map_or(0, |p| own[p]);
    let source: Vec<usize> = axes.iter().map(|&a| stored(perm[a])).collect();
    gather(call.inputs[0], &storage_dims(&call.output().shape), &source, x.dtype.bytes())
}

/// Channels to pixels.
pub(crate) fn depth_to_space(call: &Call<'_>, block: BlockMove) -> Vec<u8> {
    permute(call, depth_to_space_axes(block, nchw(call.input(0))))
}

/// Pixels to channels.
pub(crate) fn space_to_depth(call: &Call<'_>, block: usize) -> Vec<u8> {
    permute(call, space_to_depth_axes(block, nchw(call.input(0))))
}

fn permute(call: &Call<'_>, (dims, perm): ([usize; 6], [usize; 6])) -> Vec<u8> {
    let own = strides(&dims);
    gather(call.inputs[0], &perm.map(|a| dims[a]), &perm.map(|a| own[a]), call.input(0).dtype.bytes())
}

/// A box of the input.
pub(crate) fn slice(call: &Call<'_>, starts: &[usize]) -> Vec<u8> {
    let (x, y) = (call.input(0), call.output());
    let elem = x.dtype.bytes();
    let own = strides(&storage_dims(&x.shape));
    let first: usize = storage_axes(starts.len()).into_iter().zip(&own).map(|(a, s)| starts[a] * s).sum();
    gather(&call.inputs[0][first * elem..], &storage_dims(&y.shape), &own, elem)
}

/// The same elements in the model's order under another shape.
pub(crate) fn reshape(call: &Call<'_>) -> Vec<u8> {
    let (x, y) = (call.input(0), call.output());
    let elem = x.dtype.bytes();
    to_storage(&from_storage(call.inputs[0], &x.shape, elem), &y.shape, elem)
}

/// Nearest-neighbour resize of the last two axes.
pub(crate) fn resize(call: &Call<'_>, resize: &NearestResize) -> Vec<u8> {
    let x = call.input(0);
    let rank = x.shape.len();
    let (h, w) = (x.shape[rank - 2], x.shape[rank - 1]);
    // Channels are part of a pixel where they are stored last.
    let pixel = if rank == 4 { x.shape[1] } else { 1 } * x.dtype.bytes();
    let mut out = Vec::with_capacity(call.inputs[0].len());
    for image in call.inputs[0].chunks_exact(h * w * pixel) {
        for &y in &resize.rows {
            let row = &image[y as usize * w * pixel..(y as usize + 1) * w * pixel];
            resize.cols.iter().for_each(|&c| out.extend_from_slice(&row[c as usize * pixel..(c as usize + 1) * pixel]));
        }
    }
    out
}

//! Operators that only move elements.

use super::Call;
use super::nchw;
use ptq_ir::ops::{BlockMove, NearestResize};
use ptq_ir::strides;
use ptq_kernels::split;
use ptq_sim::{
    depth_to_space_axes, from_storage, line_dims, space_to_depth_axes, storage_axes, storage_dims, to_storage,
};

/// Writes the elements of `x` at these strides (in elements), over these extents, outermost first.
pub(super) fn gather(threads: usize, x: &[u8], dims: &[usize], strides: &[usize], elem: usize, out: &mut [u8]) {
    let (inner, step) = (dims.last().copied().unwrap_or(1), strides.last().copied().unwrap_or(0));
    let outer = dims.len().saturating_sub(1);
    let nanoseconds = if step == 1 { out.len() / 4 + out.len() / (inner * elem).max(1) * 4 } else { out.len() };
    split(threads, nanoseconds, out, inner * elem, |first, out| {
        let mut index = vec![0usize; outer];
        let mut left = first;
        for d in (0..outer).rev() {
            index[d] = left % dims[d];
            left /= dims[d];
        }
        let mut at: usize = index.iter().zip(strides).map(|(i, s)| i * s).sum();
        for out in out.chunks_exact_mut((inner * elem).max(1)) {
            if step == 1 {
                out.copy_from_slice(&x[at * elem..(at + inner) * elem]);
            } else if elem == 1 {
                out.iter_mut().enumerate().for_each(|(i, o)| *o = x[at + i * step]);
            } else {
                let from = |i: usize| &x[(at + i * step) * elem..(at + i * step + 1) * elem];
                out.chunks_exact_mut(elem).enumerate().for_each(|(i, o)| o.copy_from_slice(from(i)));
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
    });
}

/// Axis permutation.
pub(crate) fn transpose(call: &Call<'_>, perm: &[usize], out: &mut [u8]) {
    let x = call.input(0);
    let axes = storage_axes(perm.len());
    let own = strides(&storage_dims(&x.shape));
    let stored = |axis: usize| axes.iter().position(|&a| a == axis).map_or(0, |p| own[p]);
    let source: Vec<usize> = axes.iter().map(|&a| stored(perm[a])).collect();
    gather(call.threads, call.inputs[0], &storage_dims(&call.output().shape), &source, x.dtype.bytes(), out);
}

/// Channels to pixels.
pub(crate) fn depth_to_space(call: &Call<'_>, block: BlockMove, out: &mut [u8]) {
    permute(call, depth_to_space_axes(block, nchw(call.input(0))), out);
}

/// Pixels to channels.
pub(crate) fn space_to_depth(call: &Call<'_>, block: usize, out: &mut [u8]) {
    permute(call, space_to_depth_axes(block, nchw(call.input(0))), out);
}

fn permute(call: &Call<'_>, (dims, perm): ([usize; 6], [usize; 6]), out: &mut [u8]) {
    let own = strides(&dims);
    gather(
        call.threads,
        call.inputs[0],
        &perm.map(|a| dims[a]),
        &perm.map(|a| own[a]),
        call.input(0).dtype.bytes(),
        out,
    );
}

/// A box of the input.
pub(crate) fn slice(call: &Call<'_>, starts: &[usize], out: &mut [u8]) {
    let (x, y) = (call.input(0), call.output());
    let elem = x.dtype.bytes();
    let own = strides(&storage_dims(&x.shape));
    let first: usize = storage_axes(starts.len()).into_iter().zip(&own).map(|(a, s)| starts[a] * s).sum();
    gather(call.threads, &call.inputs[0][first * elem..], &storage_dims(&y.shape), &own, elem, out);
}

/// Elements along one axis by a table.
pub(crate) fn gather_along(call: &Call<'_>, axis: usize, indices: &[u32], out: &mut [u8]) {
    let [_, extent, inner] = line_dims(&call.input(0).shape, axis);
    let inner = inner * call.input(0).dtype.bytes();
    let blocks = call.inputs[0].chunks_exact((extent * inner).max(1));
    for (block, out) in blocks.zip(out.chunks_exact_mut((indices.len() * inner).max(1))) {
        for (&i, out) in indices.iter().zip(out.chunks_exact_mut(inner.max(1))) {
            out.copy_from_slice(&block[i as usize * inner..][..inner]);
        }
    }
}

/// The input in a larger box.
pub(crate) fn pad(call: &Call<'_>, before: &[usize], value: i32, out: &mut [u8]) {
    let elem = call.input(0).dtype.bytes();
    out.chunks_exact_mut(elem).for_each(|o| o.copy_from_slice(&value.to_le_bytes()[..elem]));
    let (dims, to) = (storage_dims(&call.input(0).shape), strides(&storage_dims(&call.output().shape)));
    let first: usize = storage_axes(before.len()).into_iter().zip(&to).map(|(a, s)| before[a] * s).sum();
    let own = strides(&dims);
    let inner = dims.last().copied().unwrap_or(1);
    for (row, x) in call.inputs[0].chunks_exact((inner * elem).max(1)).enumerate() {
        let at: usize = (0..dims.len()).map(|d| row * inner / own[d] % dims[d] * to[d]).sum();
        out[(first + at) * elem..][..inner * elem].copy_from_slice(x);
    }
}

/// The same elements in the model's order under another shape.
pub(crate) fn reshape(call: &Call<'_>, out: &mut [u8]) {
    let (x, y) = (call.input(0), call.output());
    let elem = x.dtype.bytes();
    out.copy_from_slice(&to_storage(&from_storage(call.inputs[0], &x.shape, elem), &y.shape, elem));
}

/// Nearest-neighbour resize of the last two axes.
pub(crate) fn resize(call: &Call<'_>, resize: &NearestResize, out: &mut [u8]) {
    let x = call.input(0);
    let rank = x.shape.len();
    let (h, w) = (x.shape[rank - 2], x.shape[rank - 1]);
    // Channels are part of a pixel where they are stored last.
    let pixel = if rank == 4 { x.shape[1] } else { 1 } * x.dtype.bytes();
    let (images, row) = (call.inputs[0], resize.cols.len() * pixel);
    let nanoseconds = out.len() / 8 + out.len() / pixel.max(1) * 4;
    split(call.threads, nanoseconds, out, row, |first, out| {
        for (i, out) in out.chunks_exact_mut(row.max(1)).enumerate() {
            let (image, y) = ((first + i) / resize.rows.len(), resize.rows[(first + i) % resize.rows.len()]);
            let from = &images[(image * h + y as usize) * w * pixel..][..w * pixel];
            let pixels = resize.cols.iter().map(|&c| &from[c as usize * pixel..(c as usize + 1) * pixel]);
            out.chunks_exact_mut(pixel.max(1)).zip(pixels).for_each(|(to, from)| to.copy_from_slice(from));
        }
    });
}

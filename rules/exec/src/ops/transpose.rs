//! Axis permutations: Transpose, DepthToSpace, SpaceToDepth.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use crate::loops::{steps_of, strided};
use ptq_ir::{Tensor, TensorData};
use ptq_kernels::split;

pub(super) fn transpose(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let perm = match call.attrs.ints("perm") {
        Some(p) => {
            call.axes(p, rank)?;
            p.iter().map(|&a| call.axis(a, rank)).collect::<Result<Vec<_>, _>>()?
        }
        None => (0..rank).rev().collect(),
    };
    if perm.len() != rank {
        return Err(call.bad(format!("perm {perm:?} does not name every axis of rank {rank} once")));
    }
    permuted(x, &perm)
}

/// Output axis `i` is input axis `perm[i]`; `perm` names every axis once.
pub(crate) fn permuted(x: &Tensor, perm: &[usize]) -> Result<Tensor, ExecError> {
    let own = steps_of(x.shape());
    let shape: Vec<usize> = perm.iter().map(|&a| x.shape()[a]).collect();
    let steps: Vec<isize> = perm.iter().map(|&a| own[a]).collect();
    each_type!(x, v => Ok(Element::tensor(&shape, strided(v, &shape, 0, &steps))?))
}

/// Blocks of channels become blocks of pixels; modes DCR and CRD.
pub(super) fn depth_to_space(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, [n, c, h, w], b) = image_and_block(call)?;
    if c % (b * b) != 0 {
        return Err(call.bad(format!("{c} channels are not a multiple of {}", b * b)));
    }
    let depth = c / (b * b);
    let mode = call.attrs.str("mode", "DCR");
    if let (TensorData::F32(v), "DCR" | "CRD") = (x.data(), mode) {
        // Where the source of each row of pixels lies: for mode DCR, blocks are outermost.
        let channel = |d: usize, block: usize| if mode == "DCR" { block * depth + d } else { d * b * b + block };
        let mut out = call.buffers.any(v.len());
        let width = w * b;
        split(call.threads, v.len(), &mut out, width, |first, out| {
            for (i, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
                let (image, d, y) =
                    ((first + i) / (h * b) / depth, (first + i) / (h * b) % depth, (first + i) % (h * b));
                let row = |j: usize| {
                    let from = image * c + channel(d, y % b * b + j);
                    &v[(from * h + y / b) * w..][..w]
                };
                if b == 2 {
                    let pairs = out.as_chunks_mut::<2>().0.iter_mut().zip(row(0).iter().zip(row(1)));
                    pairs.for_each(|(to, (&left, &right))| *to = [left, right]);
                } else {
                    (0..b).for_each(|j| out[j..].iter_mut().step_by(b).zip(row(j)).for_each(|(to, &v)| *to = v));
                }
            }
        });
        return Ok(Tensor::from_f32([n, depth, h * b, w * b], out)?);
    }
    let (split, perm) = match mode {
        "DCR" => ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        other => return Err(call.bad(format!("mode {other:?} is not DCR or CRD"))),
    };
    Ok(permuted(&x.reshaped(split)?, &perm)?.reshaped([n, depth, h * b, w * b])?)
}

/// Blocks of pixels become blocks of channels.
pub(super) fn space_to_depth(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, [n, c, h, w], b) = image_and_block(call)?;
    if h % b != 0 || w % b != 0 {
        return Err(call.bad(format!("image {h}x{w} is not a multiple of block {b}")));
    }
    let split = x.reshaped([n, c, h / b, b, w / b, b])?;
    Ok(permuted(&split, &[0, 3, 5, 1, 2, 4])?.reshaped([n, c * b * b, h / b, w / b])?)
}

fn image_and_block<'a>(call: &Call<'a>) -> Result<(&'a Tensor, [usize; 4], usize), ExecError> {
    let x = call.input(0)?;
    let &[n, c, h, w] = x.shape() else {
        return Err(call.bad(format!("rank {} instead of 4", x.shape().len())));
    };
    let b = usize::try_from(call.attrs.int("blocksize", 0)).unwrap_or(0);
    if b == 0 || b > 1 << 15 {
        return Err(call.bad("blocksize must be positive"));
    }
    Ok((x, [n, c, h, w], b))
}

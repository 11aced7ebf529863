//! Axis permutations and blocks of channels → TRANS; also the layout changes that Reshape and broadcasting need.

use super::{Lowered, Lowering, axis, does_not_fit, nchw};
use crate::ddr::Place;
use crate::sram::{SramBump, cut_all, first_tile};
use crate::transfer::BoxTransfer;
use ptq_ir::ops::BlockMove;
use ptq_ir::{Diagnostic, QNode, strides};
use ptq_sim::artifact::TileAxis;
use ptq_sim::{Command, Elem, Trans, depth_to_space_axes, space_to_depth_axes, storage_axes, storage_dims};

/// A permutation of stored axes without those that do not matter: destination axis `i` is source axis `perm[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Permutation {
    /// Source extents.
    dims: Vec<usize>,
    perm: Vec<usize>,
}

impl Permutation {
    /// Drops axes of extent 1 and merges axes that stay neighbours.
    pub(super) fn new(dims: &[usize], perm: &[usize]) -> Permutation {
        let kept: Vec<usize> = perm.iter().copied().filter(|&a| dims[a] != 1).collect();
        // Runs of source axes that keep their order; each becomes one axis. Axes of extent 1 between them do not part them.
        let next = |a: usize| (a + 1..dims.len()).find(|&b| dims[b] != 1);
        let mut runs: Vec<Vec<usize>> = Vec::new();
        for a in kept {
            match runs.last_mut() {
                Some(run) if run.last().and_then(|&last| next(last)) == Some(a) => run.push(a),
                _ => runs.push(vec![a]),
            }
        }
        let mut order: Vec<usize> = (0..runs.len()).collect();
        order.sort_by_key(|&r| runs[r][0]);
        let extents = order.iter().map(|&r| runs[r].iter().map(|&a| dims[a]).product()).collect();
        let mut perm = vec![0; runs.len()];
        order.iter().enumerate().for_each(|(source, &r)| perm[r] = source);
        Permutation { dims: extents, perm }
    }

    /// Whether both orders are the same bytes.
    pub(super) fn is_identity(&self) -> bool {
        self.perm.len() <= 1
    }
}

/// Lowers a Transpose.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, perm: &[usize]) -> Lowered {
    let dims = storage_dims(&l.tensor(node.inputs[0]).shape);
    let axes = storage_axes(perm.len());
    // Stored output axis i is model axis axes[i], which is input axis perm[axes[i]], stored where axes holds that.
    let stored = |model_axis: usize| axes.iter().position(|&a| a == model_axis).unwrap_or(0);
    let perm: Vec<usize> = axes.iter().map(|&a| stored(perm[a])).collect();
    move_axes(l, node, &Permutation::new(&dims, &perm))
}

/// Lowers a DepthToSpace.
pub(super) fn lower_depth_to_space(l: &mut Lowering<'_>, node: &QNode, block: BlockMove) -> Lowered {
    let (dims, perm) = depth_to_space_axes(block, nchw(l.tensor(node.inputs[0]))?);
    move_axes(l, node, &Permutation::new(&dims, &perm))
}

/// Lowers a SpaceToDepth.
pub(super) fn lower_space_to_depth(l: &mut Lowering<'_>, node: &QNode, block: usize) -> Lowered {
    let (dims, perm) = space_to_depth_axes(block, nchw(l.tensor(node.inputs[0]))?);
    move_axes(l, node, &Permutation::new(&dims, &perm))
}

/// Moves a node's input to its output; nothing where the bytes are in order already.
fn move_axes(l: &mut Lowering<'_>, node: &QNode, permutation: &Permutation) -> Lowered {
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let x = l.place(input)?;
    if permutation.is_identity() {
        l.result_at(output, x)?;
        return Ok(Vec::new());
    }
    let elem = l.elem(input)?;
    let y = l.result(output)?;
    copy(l, permutation, elem, x, y)
}

/// Copies a tensor from `x` to `y` in permuted order.
pub(super) fn copy(l: &mut Lowering<'_>, p: &Permutation, elem: Elem, x: Place, y: Place) -> Lowered {
    let out_dims: Vec<usize> = p.perm.iter().map(|&a| p.dims[a]).collect();
    let (src_strides, dst_strides) = (strides(&p.dims), strides(&out_dims));
    let target = l.target;
    let bytes = elem.bytes();
    let accept = |t: &[usize]| {
        let tile_bytes = t.iter().product::<usize>() * bytes;
        let addresses = SramBump::all(target, [tile_bytes, tile_bytes])?;
        let few_axes = t.iter().filter(|&&e| e > 1).count() <= 4;
        let load = BoxTransfer::new(&source_order(p, t), &src_strides, bytes);
        let store = BoxTransfer::new(t, &dst_strides, bytes);
        (few_axes && load.is_some() && store.is_some()).then_some(addresses)
    };
    let Some((tile, [src, dst])) = first_tile(&out_dims, accept) else {
        return Err(does_not_fit(target, "one element in, one out", 2 * bytes));
    };
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    for piece in cut_all(&out_dims, &tile) {
        let extents: Vec<usize> = piece.iter().map(|p| p.1).collect();
        let from: usize = piece.iter().enumerate().map(|(i, p2)| p2.0 * src_strides[p.perm[i]]).sum();
        let to: usize = piece.iter().zip(&dst_strides).map(|(p, s)| p.0 * s).sum();
        let load = BoxTransfer::new(&source_order(p, &extents), &src_strides, bytes).ok_or_else(broken)?;
        l.load(load, x.offset(from * bytes), src);
        l.push(Command::Trans(trans(p, &extents, elem, src, dst).ok_or_else(broken)?));
        let store = BoxTransfer::new(&extents, &dst_strides, bytes).ok_or_else(broken)?;
        l.store(store, dst, y.offset(to * bytes));
    }
    Ok(tile_axes(&tile, &out_dims))
}

fn tile_axes(tile: &[usize], dims: &[usize]) -> Vec<TileAxis> {
    tile.iter().zip(dims).enumerate().map(|(i, (&t, &d))| axis(&format!("axis {i}"), t, d)).collect()
}

/// Extents of a destination box in source order.
fn source_order(p: &Permutation, extents: &[usize]) -> Vec<usize> {
    let mut out = vec![1; extents.len()];
    p.perm.iter().zip(extents).for_each(|(&a, &e)| out[a] = e);
    out
}

/// The command that permutes one tile; `None` when it has more than four axes.
fn trans(p: &Permutation, extents: &[usize], elem: Elem, src: ptq_sim::Sram, dst: ptq_sim::Sram) -> Option<Trans> {
    let tile_strides = strides(&source_order(p, extents));
    let moving: Vec<(usize, usize)> =
        extents.iter().zip(&p.perm).filter(|(e, _)| **e > 1).map(|(&e, &a)| (e, tile_strides[a])).collect();
    let (mut dims, mut src_strides) = ([1u32; 4], [0u32; 4]);
    let first = 4usize.checked_sub(moving.len())?;
    for (slot, (extent, stride)) in (first..).zip(moving) {
        dims[slot] = u32::try_from(extent).ok()?;
        src_strides[slot] = u32::try_from(stride).ok()?;
    }
    Some(Trans { src, dst, dims, src_strides, elem: elem.moved() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_shrink_to_what_moves() {
        // NHWC → NCHW of one image: pixels and channels swap.
        let p = Permutation::new(&[1, 5, 6, 3], &[0, 3, 1, 2]);
        assert_eq!((p.dims, p.perm), (vec![30, 3], vec![1, 0]));
        // One pixel or one channel: nothing moves.
        assert!(Permutation::new(&[1, 1, 1, 3], &[0, 3, 1, 2]).is_identity());
        assert!(Permutation::new(&[2, 5, 6, 1], &[0, 3, 1, 2]).is_identity());
        // A batch stays in front.
        let p = Permutation::new(&[2, 5, 6, 3], &[0, 3, 1, 2]);
        assert_eq!((p.dims, p.perm), (vec![2, 30, 3], vec![0, 2, 1]));
        // An axis of extent 1 between neighbours does not part them.
        let p = Permutation::new(&[4, 1, 5, 3], &[3, 0, 2, 1]);
        assert_eq!((p.dims, p.perm), (vec![20, 3], vec![1, 0]));
    }
}

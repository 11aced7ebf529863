//! How tensors lie in accelerator memory: rank 4 channels-last, every other rank row-major in the model's axis order.
//!
//! Used by compile (constants, strides) and by the runtime (borders, comparison of layers).

use ptq_ir::ops::{BlockMove, BlockOrder};
use ptq_kernels::to_nhwc;

/// The tensor's axes in storage order, outermost first.
pub fn storage_axes(rank: usize) -> Vec<usize> {
    if rank == 4 { vec![0, 2, 3, 1] } else { (0..rank).collect() }
}

/// Extents in storage order.
pub fn storage_dims(shape: &[usize]) -> Vec<usize> {
    storage_axes(shape.len()).into_iter().map(|a| shape[a]).collect()
}

/// Extents around one axis of the model in storage order: outer, the axis, inner.
pub fn line_dims(shape: &[usize], axis: usize) -> [usize; 3] {
    let dims = storage_dims(shape);
    let at = storage_axes(shape.len()).iter().position(|&a| a == axis).unwrap_or(0);
    [dims[..at].iter().product(), dims[at], dims[at + 1..].iter().product()]
}

/// For every matrix of a product in the model's order, which matrix of either operand it reads. Ranks are equal, the axes in
/// front of the last two broadcast.
pub fn matrix_batches(a: &[usize], b: &[usize]) -> Vec<[usize; 2]> {
    let outer = a.len().saturating_sub(2);
    let mut out = vec![[0, 0]];
    for (&da, &db) in a[..outer].iter().zip(&b[..outer]) {
        let step = |at: usize, extent: usize, i: usize| at * extent + if extent == 1 { 0 } else { i };
        out =
            out.into_iter().flat_map(|[x, y]| (0..da.max(db)).map(move |i| [step(x, da, i), step(y, db, i)])).collect();
    }
    out
}

/// DepthToSpace in storage order: extents of the input as six axes, and for each axis of the result the input's axis.
/// `shape` is the input's (batch, channels, height, width); its channels are whole blocks.
pub fn depth_to_space_axes(block: BlockMove, [n, c, h, w]: [usize; 4]) -> ([usize; 6], [usize; 6]) {
    let b = block.block;
    let channels = c / (b * b).max(1);
    match block.order {
        BlockOrder::Dcr => ([n, h, w, b, b, channels], [0, 1, 3, 2, 4, 5]),
        BlockOrder::Crd => ([n, h, w, channels, b, b], [0, 1, 4, 2, 5, 3]),
    }
}

/// SpaceToDepth in storage order, as [`depth_to_space_axes`]. `shape` is the input's; its pixels are whole blocks.
pub fn space_to_depth_axes(block: usize, [n, c, h, w]: [usize; 4]) -> ([usize; 6], [usize; 6]) {
    let b = block.max(1);
    ([n, h / b, b, w / b, b, c], [0, 1, 3, 2, 4, 5])
}

/// Bytes in storage order from row-major bytes of a tensor of this shape. `elem` is the size of an element.
pub fn to_storage(bytes: &[u8], shape: &[usize], elem: usize) -> Vec<u8> {
    match *shape {
        [n, c, h, w] => swap_inner(bytes, [n, c, h * w], elem),
        _ => bytes.to_vec(),
    }
}

/// Row-major bytes from bytes in storage order.
pub fn from_storage(bytes: &[u8], shape: &[usize], elem: usize) -> Vec<u8> {
    match *shape {
        [n, c, h, w] => swap_inner(bytes, [n, h * w, c], elem),
        _ => bytes.to_vec(),
    }
}

/// Transposes the inner two of three axes.
fn swap_inner(bytes: &[u8], [n, a, b]: [usize; 3], elem: usize) -> Vec<u8> {
    if a <= 1 || b <= 1 {
        return bytes.to_vec();
    }
    match elem {
        1 => swap_elements::<1>(bytes, [n, a, b]),
        2 => swap_elements::<2>(bytes, [n, a, b]),
        4 => swap_elements::<4>(bytes, [n, a, b]),
        _ => swap_elements::<8>(bytes, [n, a, b]),
    }
}

/// As [`swap_inner`], of elements of `N` bytes.
fn swap_elements<const N: usize>(bytes: &[u8], [n, a, b]: [usize; 3]) -> Vec<u8> {
    let (x, mut out) = (bytes.as_chunks::<N>().0, vec![[0; N]; bytes.len() / N]);
    let images = x.chunks_exact(a * b).zip(out.chunks_exact_mut(a * b));
    images.take(n).for_each(|(image, out)| to_nhwc(image, a, out));
    out.into_flattened()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_4_is_channels_last_and_the_way_back_is_the_inverse() {
        // n = 1, c = 2, h = 1, w = 3
        let nchw = [1, 2, 3, 11, 12, 13];
        assert_eq!(to_storage(&nchw, &[1, 2, 1, 3], 1), [1, 11, 2, 12, 3, 13]);
        let words: Vec<u8> = (0..2 * 3 * 2 * 2 * 4).collect();
        let there = to_storage(&words, &[2, 3, 2, 2], 4);
        assert_ne!(there, words);
        assert_eq!(from_storage(&there, &[2, 3, 2, 2], 4), words);
        assert_eq!(to_storage(&nchw, &[2, 3], 1), nchw);
    }
}

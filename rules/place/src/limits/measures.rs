//! Numbers of a node: ranks, axes, extents, counts.

use super::{dynamic_shapes, flag, to_i64s};
use ptq_ir::{Graph, Node, ops};

pub(super) fn rank(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(dynamic_shapes(g, n).map(|s| s.len() as i64).collect())
}

pub(super) fn axis(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    own_axis(g, n).map(|a| vec![a as i64])
}

/// The axis that a node names; a Softmax means its last one where it names none.
pub(super) fn own_axis(g: &Graph, n: &Node) -> Option<usize> {
    let rank = g.value(n.input(0)?).shape.len();
    ops::axis(n.attrs.int("axis", if n.is("Softmax") { -1 } else { 0 }), rank)
}

pub(super) fn axis_extent(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    extent(g, n, own_axis(g, n)?).map(|d| vec![d])
}

pub(super) fn index_rank(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![g.value(n.input(1)?).shape.len() as i64])
}

/// Elements that a table of indices runs over, and those that it gives; a GridSample's table has a zero behind them.
pub(super) fn table_elements(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    if n.is("GridSample") {
        let grid = &g.value(n.input(1)?).shape;
        return Some(vec![image_area(g, n)?[0] + 1, to_i64s(grid.get(1..3)?).iter().product()]);
    }
    let (x, table) = (&g.value(n.input(0)?).shape, ops::ElementTable::of(g, n)?);
    Some(to_i64s(&[x.get(table.axes)?.iter().product(), table.indices.len()]))
}

pub(super) fn inputs(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.inputs.len() as i64])
}

pub(super) fn outputs(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.outputs.len() as i64])
}

pub(super) fn kept_axes(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.attrs.int("keepdims", 1)])
}

pub(super) fn negative_pads(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let pads = g.const_input(n, 1)?.to_i64s().ok()?;
    Some(vec![pads.iter().filter(|&&p| p < 0).count() as i64])
}

pub(super) fn added_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let rank = |v: ptq_ir::ValueId| g.value(v).shape.len() as i64;
    Some(vec![rank(*n.outputs.first()?) - rank(n.input(0)?)])
}

pub(super) fn block(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.attrs.int("blocksize", 0)])
}

/// Axes that a Slice cuts, where it takes steps along one of them; none otherwise.
pub(super) fn stepped_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    if n.input(4).is_none() {
        return Some(vec![0]);
    }
    let steps = g.const_input(n, 4)?.to_i64s().ok()?;
    if steps.iter().all(|&s| s == 1) {
        return Some(vec![0]);
    }
    let (x, y) = (&g.value(n.input(0)?).shape, &g.value(*n.outputs.first()?).shape);
    Some(vec![x.iter().zip(y).filter(|(x, y)| x != y).count().max(1) as i64])
}

pub(super) fn equal_parts(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let mut shapes = n.outputs.iter().map(|&v| &g.value(v).shape);
    let first = shapes.next()?;
    Some(flag(shapes.all(|s| s == first)))
}

fn extent(g: &Graph, n: &Node, axis: usize) -> Option<i64> {
    g.value(n.input(0)?).shape.get(axis).map(|&d| i64::try_from(d).unwrap_or(i64::MAX))
}

pub(super) fn batch(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    extent(g, n, 0).map(|d| vec![d])
}

/// Sequences of a recurrent operator, whose input is `[time, batch, features]` unless `layout` turns it.
pub(super) fn sequence_batch(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    extent(g, n, usize::from(n.attrs.int("layout", 0) == 0)).map(|d| vec![d])
}

pub(super) fn input_channels(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    extent(g, n, 1).map(|d| vec![d])
}

/// Shapes of the images among a node's tensors.
fn images<'g>(g: &'g Graph, n: &'g Node) -> impl Iterator<Item = &'g [usize]> {
    dynamic_shapes(g, n).filter(|s| s.len() == 4)
}

pub(super) fn channels(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(images(g, n).flat_map(|s| to_i64s(&s[1..2])).collect())
}

pub(super) fn image_batch(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(images(g, n).flat_map(|s| to_i64s(&s[..1])).collect())
}

pub(super) fn image_extents(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(images(g, n).flat_map(|s| to_i64s(&s[1..])).collect())
}

pub(super) fn outer_extent(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(dynamic_shapes(g, n).flat_map(|s| to_i64s(s.get(..1).unwrap_or_default())).collect())
}

pub(super) fn inner_extents(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(dynamic_shapes(g, n).flat_map(|s| to_i64s(s.get(1..).unwrap_or_default())).collect())
}

pub(super) fn elements(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let product = |s: &[usize]| s.iter().fold(1usize, |all, &d| all.saturating_mul(d));
    Some(to_i64s(&dynamic_shapes(g, n).map(product).collect::<Vec<_>>()))
}

/// Elements of one image as they lie in memory: width aligned to 8 and channels to 4, or channels to 32, whichever is less.
pub(super) fn aligned_elements(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let shape = &g.value(n.input(0)?).shape;
    let all = match shape.as_slice() {
        &[_, c, h, w] => {
            let (narrow, wide) = (w.next_multiple_of(8) * c.next_multiple_of(4), w * c.next_multiple_of(32));
            h.saturating_mul(narrow.min(wide))
        }
        other => other.iter().skip(1).product(),
    };
    Some(to_i64s(&[all]))
}

pub(super) fn image(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![extent(g, n, 2)?, extent(g, n, 3)?])
}

pub(super) fn image_area(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![extent(g, n, 2)?.saturating_mul(extent(g, n, 3)?)])
}

pub(super) fn changed_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let (x, y) = (&g.value(n.input(0)?).shape, &g.value(*n.outputs.first()?).shape);
    let padded = std::iter::repeat_n(&1, y.len().saturating_sub(x.len())).chain(x);
    Some(vec![padded.zip(y).filter(|(a, b)| a != b).count() as i64])
}

pub(super) fn parameter_elements(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let constants = n.inputs.iter().flatten().filter_map(|v| g.constant(*v));
    Some(constants.map(|t| t.shape().iter().product::<usize>() as i64).collect())
}

pub(super) fn reduced_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    ops::reduced_axes(g, n).map(|axes| vec![axes.len() as i64])
}

pub(super) fn reduced_extent(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    ops::reduced_axes(g, n)?.into_iter().map(|a| extent(g, n, a)).collect()
}

pub(super) fn constant_inputs(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.inputs.iter().flatten().filter(|v| g.constant(**v).is_some()).count() as i64])
}

pub(super) fn feature_inputs(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(flag(n.inputs.iter().flatten().all(|v| g.constant(*v).is_none())))
}

pub(super) fn constant_weights(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(flag(n.inputs.iter().skip(1).flatten().all(|v| g.constant(*v).is_some())))
}

pub(super) fn resized_outer_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let (x, y) = (&g.value(n.input(0)?).shape, &g.value(*n.outputs.first()?).shape);
    let outer = x.len().saturating_sub(2);
    Some(vec![x.iter().zip(y).take(outer).filter(|(a, b)| a != b).count() as i64])
}

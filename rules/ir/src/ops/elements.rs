//! GatherElements with constant indices as a table: which element of a line each result is.

use super::axis;
use crate::{Graph, Node};
use std::ops::Range;

/// A GatherElements by a table. With the axes `axes` of the input as one, result `i` along it is element `indices[i]`, the same
/// for all places along the other axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementTable {
    /// The axes that the table runs over: as few as hold the indices' own axis and every axis along which they differ or stop short.
    pub axes: Range<usize>,
    /// Element of each result, over these axes of the input in row-major order.
    pub indices: Vec<u32>,
}

impl ElementTable {
    /// The table of a node; `None` where its indices are no constant inside the axis, or do not fit the input.
    pub fn of(graph: &Graph, node: &Node) -> Option<ElementTable> {
        let x = &graph.value(node.input(0)?).shape;
        let found = graph.const_input(node, 1)?;
        let shape = found.shape();
        let along = axis(node.attrs.int("axis", 0), x.len())?;
        let fits = |d: usize| d == along || shape[d] <= x[d];
        if shape.len() != x.len() || !(0..x.len()).all(fits) {
            return None;
        }
        let indices = found.to_i64s().ok()?;
        let indices: Vec<usize> = indices.into_iter().map(|i| axis(i, x[along])).collect::<Option<_>>()?;
        let inner = |d: usize| shape[d + 1..].iter().product::<usize>();
        // Along an axis where they are the same for every place, the table need not run.
        let differ = |d: usize| {
            let (inner, extent) = (inner(d), shape[d]);
            d == along
                || extent != x[d]
                || (0..indices.len()).any(|i| indices[i] != indices[i - i / inner % extent * inner])
        };
        let first = (0..x.len()).find(|&d| differ(d))?;
        let last = (0..x.len()).rfind(|&d| differ(d))?;
        let axes = first..last + 1;
        let (behind, count) = (inner(last), shape[axes.clone()].iter().product::<usize>());
        let element = |i: usize| {
            let index = *indices.get(i * behind)?;
            let (mut at, mut rest) = (0, i);
            let mut stride = 1;
            for d in axes.clone().rev() {
                let place = if d == along { index } else { rest % shape[d] };
                rest /= shape[d];
                at += place * stride;
                stride *= x[d];
            }
            u32::try_from(at).ok()
        };
        let indices = (0..count).map(element).collect::<Option<Vec<u32>>>()?;
        Some(ElementTable { axes, indices })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attr, Attrs, GraphBuilder, Tensor};

    fn table(x: &[usize], along: i64, shape: &[usize], indices: Vec<i64>) -> Option<ElementTable> {
        let mut b = GraphBuilder::new("g");
        let input = b.input("x", x);
        let indices = b.constant("i", Tensor::from_i64(shape, indices).expect("count"));
        let attrs = Attrs::of([("axis", Attr::Int(along))]);
        let y = b.node("GatherElements", "op", &[input, indices], attrs, shape);
        b.output(y);
        let g = b.finish();
        ElementTable::of(&g, &g.nodes[0])
    }

    #[test]
    fn equal_rows_are_a_table_of_one_axis() {
        let found = table(&[2, 3, 2], 1, &[2, 2, 2], vec![2, 2, 0, 0, 2, 2, 0, 0]);
        assert_eq!(found, Some(ElementTable { axes: 1..2, indices: vec![2, 0] }));
    }

    #[test]
    fn tables_run_over_every_axis_along_which_indices_differ_or_stop() {
        // Per column others, and the same in both items.
        let found = table(&[2, 3, 2], 1, &[2, 1, 2], vec![2, -2, 2, 1]);
        assert_eq!(found, Some(ElementTable { axes: 1..3, indices: vec![4, 3] }));
        // The first column alone.
        let found = table(&[3, 2], 0, &[2, 1], vec![1, 1]);
        assert_eq!(found, Some(ElementTable { axes: 0..2, indices: vec![2, 2] }));
        let found = table(&[2, 2], 1, &[2, 2], vec![0, 1, 1, 0]);
        assert_eq!(found, Some(ElementTable { axes: 0..2, indices: vec![0, 1, 3, 2] }));
    }

    #[test]
    fn indices_outside_the_axis_or_the_shape_have_no_table() {
        assert_eq!(table(&[2, 2], 1, &[2, 1], vec![0, 2]), None);
        assert_eq!(table(&[2, 2], 1, &[3, 1], vec![0, 0, 0]), None);
        assert_eq!(table(&[2, 2], 2, &[2, 1], vec![0, 0]), None);
    }

    #[test]
    fn a_table_without_results_is_empty() {
        assert_eq!(table(&[2, 3], 1, &[2, 0], vec![]), Some(ElementTable { axes: 1..2, indices: vec![] }));
    }
}

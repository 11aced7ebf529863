//! FUSE20 convert-reduce and FUSE21 convert-sum.

use crate::support::{assert_example, fired, fused, ints, reason};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder};

fn reduction(op: &str, axes: &[i64], keep: bool, out: &[usize]) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 3, 4, 5]);
    let mut attrs = ints("axes", axes);
    attrs.set("keepdims", Attr::Int(keep.into()));
    let y = b.node(op, "mean", &[x], attrs, out);
    b.output(y);
    b.finish()
}

#[test]
fn reductions_of_the_image_become_pools() {
    let before = reduction("ReduceMean", &[2, -1], false, &[2, 3]);
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE20"), 1);
    assert_example("FUSE20", &before, &after);
    let (after, _) = fused(&reduction("ReduceMax", &[3, 2], true, &[2, 3, 1, 1]));
    assert_eq!(after.nodes[0].op, "GlobalMaxPool");
}

#[test]
fn other_reductions_stay() {
    let (_, log) = fused(&reduction("ReduceMean", &[1], true, &[2, 1, 4, 5]));
    assert_eq!(reason(&log, "FUSE20", "mean"), "it reduces axes [1], not height and width");
}

#[test]
fn a_sum_becomes_a_chain_of_additions() {
    let mut b = GraphBuilder::new("g");
    let inputs = ["x", "y", "z"].map(|name| b.input(name, &[2, 3]));
    let y = b.node("Sum", "sum", &inputs, Attrs::default(), &[2, 3]);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE21"), 1);
    assert_example("FUSE21", &before, &after);
}

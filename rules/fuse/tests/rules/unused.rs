//! FUSE07 drop-unused.

use crate::support::{assert_example, batch_norm, conv, covers, fired, fused};
use ptq_ir::{Attrs, GraphBuilder};

const SHAPE: [usize; 4] = [1, 2, 3, 3];

#[test]
fn a_dead_branch_is_removed_with_all_its_nodes() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let y = b.node("Relu", "relu", &[x], Attrs::default(), &SHAPE);
    let d = b.node("Sigmoid", "dead1", &[y], Attrs::default(), &SHAPE);
    b.node("Tanh", "dead2", &[d], Attrs::default(), &SHAPE);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE07"), 2);
    assert!(after.find_value("dead1_out").is_none(), "its values are gone too");
    assert_example("FUSE07", &before, &after);
}

#[test]
fn a_dead_reader_does_not_keep_a_fold_from_happening() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let c = conv(&mut b, "conv", x, [2, 2, 1, 1], Attrs::default(), &SHAPE);
    b.node("Sigmoid", "dead", &[c], Attrs::default(), &SHAPE);
    let y = batch_norm(&mut b, "bn", c, 2, &SHAPE);
    b.output(y);
    let (after, log) = fused(&b.finish());
    assert_eq!(covers(&after, "conv"), ["bn"]);
    assert!(log.skipped.is_empty(), "{:?}", log.skipped);
}

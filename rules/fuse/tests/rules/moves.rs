//! FUSE18 merge-transposes, FUSE19 merge-reshapes and FUSE22 move-through.

use crate::support::{assert_example, conv, fired, fused, ints, lines, seeded};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};

const NHWC: [usize; 4] = [1, 4, 5, 3];
const NCHW: [usize; 4] = [1, 3, 4, 5];

fn to_last(b: &mut GraphBuilder, name: &str, x: ValueId) -> ValueId {
    b.node("Transpose", name, &[x], ints("perm", &[0, 2, 3, 1]), &NHWC)
}

fn to_first(b: &mut GraphBuilder, name: &str, x: ValueId) -> ValueId {
    b.node("Transpose", name, &[x], ints("perm", &[0, 3, 1, 2]), &NCHW)
}

fn ops(g: &Graph) -> Vec<&str> {
    g.nodes.iter().map(|n| n.op.as_str()).collect()
}

#[test]
fn a_pair_of_transposes_cancels() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &NCHW);
    let y = to_last(&mut b, "there", x);
    let y = to_first(&mut b, "back", y);
    let y = b.node("Relu", "relu", &[y], Attrs::default(), &NCHW);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE18"), 1);
    assert_example("FUSE18", &before, &after);

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 3, 4]);
    let y = b.node("Transpose", "a", &[x], ints("perm", &[1, 2, 0]), &[3, 4, 2]);
    let y = b.node("Transpose", "b", &[y], ints("perm", &[0, 2, 1]), &[3, 2, 4]);
    b.output(y);
    let (after, _) = fused(&b.finish());
    assert_eq!(after.nodes[0].attrs.ints("perm"), Some(&[1, 0, 2][..]));
}

#[test]
fn a_first_transpose_that_others_read_stays() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &NCHW);
    let there = to_last(&mut b, "there", x);
    let y = to_first(&mut b, "back", there);
    let y = b.node("Relu", "relu", &[y], Attrs::default(), &NCHW);
    b.output(y);
    b.output(there);
    assert_eq!(ops(&fused(&b.finish()).0), ["Transpose", "Relu"]);
}

#[test]
fn a_transpose_moves_through_an_element_wise_node_to_its_inverse() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &NCHW);
    let y = to_last(&mut b, "there", x);
    let y = b.node("Relu", "relu", &[y], Attrs::default(), &NHWC);
    let y = to_first(&mut b, "back", y);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE22"), 1);
    assert_example("FUSE22", &before, &after);
}

/// A channels-last residual block, as TensorFlow's exporters write it.
#[test]
fn a_channels_last_block_is_left_without_transposes_inside() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &NHWC);
    let first = to_first(&mut b, "t0", x);
    let c = conv(&mut b, "conv1", first, [3, 3, 1, 1], Attrs::default(), &NCHW);
    let t1 = to_last(&mut b, "t1", c);
    let slope = b.constant("slope", seeded(&[3], 9));
    let m = b.node("PRelu", "act", &[t1, slope], Attrs::default(), &NHWC);
    let t2 = to_first(&mut b, "t2", m);
    let c2 = conv(&mut b, "conv2", t2, [3, 3, 1, 1], Attrs::default(), &NCHW);
    let t3 = to_last(&mut b, "t3", c2);
    let c3 = conv(&mut b, "conv3", first, [3, 3, 1, 1], Attrs::default(), &NCHW);
    let t4 = to_last(&mut b, "t4", c3);
    let sum = b.node("Add", "add", &[t3, t4], Attrs::default(), &NHWC);
    let cat = b.node("Concat", "cat", &[sum], Attrs::of([("axis", Attr::Int(3))]), &NHWC);
    let r = b.node("Relu", "relu", &[cat], Attrs::default(), &NHWC);
    let t5 = to_first(&mut b, "t5", r);
    let c4 = conv(&mut b, "conv4", t5, [3, 3, 1, 1], Attrs::default(), &NCHW);
    let t6 = to_last(&mut b, "t6", c4);
    b.output(t6);
    let (after, _) = fused(&b.finish());
    assert_eq!(
        ops(&after),
        ["Transpose", "Conv", "PRelu", "Conv", "Conv", "Add", "Relu", "Conv", "Transpose"],
        "{}",
        lines(&after)
    );
}

#[test]
fn a_concat_and_a_softmax_follow_their_axis() {
    let mut b = GraphBuilder::new("g");
    let (x, z) = (b.input("x", &NCHW), b.input("z", &NCHW));
    let (x, z) = (to_last(&mut b, "tx", x), to_last(&mut b, "tz", z));
    let wide = [1, 4, 5, 6];
    let y = b.node("Concat", "cat", &[x, z], Attrs::of([("axis", Attr::Int(-1))]), &wide);
    let y = b.node("Softmax", "soft", &[y], Attrs::of([("axis", Attr::Int(-1))]), &wide);
    let y = b.node("Transpose", "back", &[y], ints("perm", &[0, 3, 1, 2]), &[1, 6, 4, 5]);
    b.output(y);
    let (after, _) = fused(&b.finish());
    assert_eq!(ops(&after), ["Concat", "Softmax"], "{}", lines(&after));
    assert!(after.nodes.iter().all(|n| n.attrs.int("axis", 9) == 1));
}

#[test]
fn a_transpose_that_would_meet_none_stays() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &NCHW);
    let y = to_last(&mut b, "there", x);
    let y = b.node("Relu", "relu", &[y], Attrs::default(), &NHWC);
    b.output(y);
    assert_eq!(ops(&fused(&b.finish()).0), ["Transpose", "Relu"]);
}

#[test]
fn reshapes_behind_each_other_become_one() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 3, 4]);
    let y = b.node("Flatten", "flat", &[x], Attrs::default(), &[2, 12]);
    let axes = b.constant("axes", Tensor::vec_i64(vec![1]));
    let y = b.node("Unsqueeze", "rows", &[y, axes], Attrs::default(), &[2, 1, 12]);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE19"), 1);
    assert_example("FUSE19", &before, &after);

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 3, 4]);
    let r = b.node("Relu", "relu", &[x], Attrs::default(), &[2, 3, 4]);
    let y = b.node("Flatten", "flat", &[r], Attrs::default(), &[2, 12]);
    let y = b.node("Sigmoid", "sigmoid", &[y], Attrs::default(), &[2, 12]);
    let dims = b.constant("dims", Tensor::vec_i64(vec![2, 3, 4]));
    let y = b.node("Reshape", "back", &[y, dims], Attrs::default(), &[2, 3, 4]);
    b.output(y);
    assert_eq!(ops(&fused(&b.finish()).0), ["Function"], "nothing but the two functions is left");
}

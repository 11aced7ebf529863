//! FUSE08 mark-activation.

use crate::support::{assert_example, conv, fired, fused, reason};
use ptq_ir::{Attrs, Graph, GraphBuilder, Tensor, ValueId};

const SHAPE: [usize; 4] = [1, 2, 3, 3];

fn start() -> (GraphBuilder, ValueId) {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let c = conv(&mut b, "conv", x, [2, 2, 1, 1], Attrs::default(), &SHAPE);
    (b, c)
}

fn clip(b: &mut GraphBuilder, x: ValueId, min: f32, max: f32) -> ValueId {
    let lo = b.constant("lo", Tensor::scalar_f32(min));
    let hi = b.constant("hi", Tensor::scalar_f32(max));
    b.node("Clip", "act", &[x, lo, hi], Attrs::default(), &SHAPE)
}

fn mark(g: &Graph, node: &str) -> Option<String> {
    g.node(g.find_node(node).expect("node")).fusible_into.clone()
}

#[test]
fn a_relu_behind_a_conv_is_marked_and_stays() {
    let (mut b, c) = start();
    let y = b.node("Relu", "relu", &[c], Attrs::default(), &SHAPE);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE08"), 1);
    assert_example("FUSE08", &before, &after);
}

#[test]
fn a_clip_behind_an_add_is_marked() {
    let (mut b, c) = start();
    let x = b.input("x2", &SHAPE);
    let s = b.node("Add", "add", &[c, x], Attrs::default(), &SHAPE);
    let y = clip(&mut b, s, 0.0, 0.5);
    b.output(y);
    assert_eq!(mark(&fused(&b.finish()).0, "act").as_deref(), Some("add"));
}

#[test]
fn a_producer_that_others_see_is_not_marked() {
    let (mut b, c) = start();
    let y = b.node("Relu", "relu", &[c], Attrs::default(), &SHAPE);
    let z = b.node("Sigmoid", "sigmoid", &[c], Attrs::default(), &SHAPE);
    b.output(y);
    b.output(z);
    let (after, log) = fused(&b.finish());
    assert_eq!(reason(&log, "FUSE08", "relu"), "the output of conv is also read by sigmoid");
    assert_eq!(mark(&after, "relu"), None);

    let (mut b, c) = start();
    let y = b.node("Relu", "relu", &[c], Attrs::default(), &SHAPE);
    b.output(y);
    b.output(c);
    let (_, log) = fused(&b.finish());
    assert_eq!(reason(&log, "FUSE08", "relu"), "the output of conv is the model output conv_out");
}

#[test]
fn bounds_must_be_constant_and_hold_zero() {
    for (min, max, wanted) in
        [(0.1, 1.0, "its range 0.1..1 does not contain 0"), (-1.0, -0.5, "its range -1..-0.5 does not contain 0")]
    {
        let (mut b, c) = start();
        let y = clip(&mut b, c, min, max);
        b.output(y);
        assert_eq!(reason(&fused(&b.finish()).1, "FUSE08", "act"), wanted);
    }

    let (mut b, c) = start();
    let y = clip(&mut b, c, 0.0, 1.0);
    b.output(y);
    let mut g = b.finish();
    let hi = g.find_value("hi").expect("value");
    g.constants.remove(&hi);
    g.inputs.push(hi);
    let log = ptq_fuse::fuse(&mut g).expect("fuses");
    assert_eq!(reason(&log, "FUSE08", "act"), "its bounds are not constant");
}

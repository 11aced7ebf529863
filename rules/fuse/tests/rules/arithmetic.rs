//! FUSE09 and FUSE10, arithmetic folded into weights, and FUSE11 merge-arithmetic.

use crate::support::{assert_example, batch_norm, conv, fired, fused, ints, lines, reason, seeded};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};

/// A constant away from zero.
fn constant(b: &mut GraphBuilder, name: &str, shape: &[usize]) -> ValueId {
    let values = seeded(shape, 40).f32s().expect("float").iter().map(|v| v + 1.5).collect();
    b.constant(name, Tensor::from_f32(shape, values).expect("count"))
}

/// Conv without bias → one node with a constant of this shape.
fn behind(op: &str, shape: &[usize], constant_first: bool) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 4, 4]);
    let w = b.constant("conv_w", seeded(&[6, 4, 3, 3], 3));
    let y = b.node("Conv", "conv", &[x, w], ints("pads", &[1, 1, 1, 1]), &[1, 6, 4, 4]);
    let c = constant(&mut b, "c", shape);
    let operands = if constant_first { [c, y] } else { [y, c] };
    let y = b.node(op, &op.to_lowercase(), &operands, Attrs::default(), &[1, 6, 4, 4]);
    b.output(y);
    b.finish()
}

#[test]
fn arithmetic_behind_a_conv_is_folded() {
    for shape in [&[][..], &[1], &[6, 1, 1], &[1, 6, 1, 1], &[1, 1, 1, 1]] {
        for (op, first) in [("Add", false), ("Add", true), ("Sub", false), ("Sub", true), ("Mul", true), ("Div", false)]
        {
            let (after, log) = fused(&behind(op, shape, first));
            assert_eq!((fired(&log, "FUSE09"), after.nodes.len()), (1, 1), "{op} {shape:?} {first}");
        }
    }
    let before = behind("Add", &[6, 1, 1], false);
    assert_example("FUSE09", &before, &fused(&before).0);
}

#[test]
fn other_arithmetic_behind_a_conv_stays() {
    let (_, log) = fused(&behind("Add", &[4], false));
    assert_eq!(reason(&log, "FUSE09", "add"), "the operand [4] of add varies within a channel");
    let (_, log) = fused(&behind("Div", &[], true));
    assert_eq!(reason(&log, "FUSE09", "div"), "div is not a product or sum with a constant");

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 4, 4]);
    let y = conv(&mut b, "conv", x, [6, 4, 1, 1], Attrs::default(), &[1, 6, 4, 4]);
    let zero = b.constant("zero", Tensor::scalar_f32(0.0));
    let m = b.node("Mul", "mul", &[y, zero], Attrs::default(), &[1, 6, 4, 4]);
    let a = b.node("Add", "add", &[m, y], Attrs::default(), &[1, 6, 4, 4]);
    b.output(a);
    assert_eq!(reason(&fused(&b.finish()).1, "FUSE09", "mul"), "a factor of mul is 0");
}

#[test]
fn arithmetic_behind_transposed_convs_and_products_is_folded() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 3, 3]);
    let w = b.constant("w", seeded(&[4, 3, 2, 2], 3));
    let attrs = Attrs::of([
        ("group", Attr::Int(2)),
        ("strides", Attr::Ints(vec![1, 1])),
        ("kernel_shape", Attr::Ints(vec![2, 2])),
    ]);
    let y = b.node("ConvTranspose", "up", &[x, w], attrs, &[1, 6, 4, 4]);
    let c = constant(&mut b, "c", &[6, 1, 1]);
    let y = b.node("Mul", "mul", &[y, c], Attrs::default(), &[1, 6, 4, 4]);
    let y = b.node("Add", "add", &[y, c], Attrs::default(), &[1, 6, 4, 4]);
    b.output(y);
    assert_eq!(fired(&fused(&b.finish()).1, "FUSE09"), 2);

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 3, 4]);
    let y = b.input("y", &[2, 5, 3]);
    let w = b.constant("w", seeded(&[4, 5], 3));
    let m = b.node("MatMul", "mm", &[x, w], Attrs::default(), &[2, 3, 5]);
    let c = constant(&mut b, "c", &[5]);
    let m = b.node("Mul", "mul", &[m, c], Attrs::default(), &[2, 3, 5]);
    let m = b.node("MatMul", "mm2", &[m, y], Attrs::default(), &[2, 3, 3]);
    b.output(m);
    assert_eq!(fired(&fused(&b.finish()).1, "FUSE09"), 1);
}

/// One node with a constant of this shape → Conv with these pads.
fn in_front(op: &str, shape: &[usize], pads: &[i64; 4], out: usize) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 4, 4]);
    let c = constant(&mut b, "c", shape);
    let y = b.node(op, &op.to_lowercase(), &[x, c], Attrs::default(), &[1, 4, 4, 4]);
    let y = conv(&mut b, "conv", y, [6, 4, 3, 3], ints("pads", pads), &[1, 6, out, out]);
    b.output(y);
    b.finish()
}

#[test]
fn arithmetic_in_front_of_a_conv_is_folded_unless_padding_lies_between() {
    for shape in [&[][..], &[4, 1, 1]] {
        for op in ["Mul", "Div", "Add", "Sub"] {
            let (after, log) = fused(&in_front(op, shape, &[0; 4], 2));
            assert_eq!((fired(&log, "FUSE10"), after.nodes.len()), (1, 1), "{op} {shape:?}");
        }
        for op in ["Mul", "Div"] {
            assert_eq!(fused(&in_front(op, shape, &[1; 4], 4)).0.nodes.len(), 1, "{op} {shape:?}");
        }
    }
    let (_, log) = fused(&in_front("Add", &[4, 1, 1], &[1; 4], 4));
    assert_eq!(reason(&log, "FUSE10", "conv"), "conv pads with zeros behind the addition");
    let before = {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 4, 4, 4]);
        let c = constant(&mut b, "c", &[4, 1, 1]);
        let y = b.node("Mul", "mul", &[x, c], Attrs::default(), &[1, 4, 4, 4]);
        let y = conv(&mut b, "conv", y, [6, 4, 1, 1], Attrs::default(), &[1, 6, 4, 4]);
        b.output(y);
        b.finish()
    };
    assert_example("FUSE10", &before, &fused(&before).0);
}

#[test]
fn a_batch_normalization_in_front_of_an_unpadded_conv_is_folded() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 4, 4]);
    let n = batch_norm(&mut b, "bn", x, 4, &[1, 4, 4, 4]);
    let attrs = Attrs::of([("group", Attr::Int(2))]);
    let w = b.constant("w", seeded(&[6, 2, 3, 3], 3));
    let y = b.node("Conv", "conv", &[n, w], attrs, &[1, 6, 2, 2]);
    b.output(y);
    let (after, log) = fused(&b.finish());
    assert_eq!((fired(&log, "FUSE10"), after.nodes.len()), (1, 1));
}

#[test]
fn arithmetic_in_front_that_others_read_stays() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 4, 4]);
    let c = constant(&mut b, "c", &[]);
    let m = b.node("Mul", "mul", &[x, c], Attrs::default(), &[1, 4, 4, 4]);
    let y = conv(&mut b, "conv", m, [6, 4, 1, 1], Attrs::default(), &[1, 6, 4, 4]);
    b.output(y);
    b.output(m);
    assert_eq!(reason(&fused(&b.finish()).1, "FUSE10", "conv"), "the output of mul is the model output mul_out");
}

#[test]
fn sums_and_products_behind_each_other_are_merged() {
    let mut b = GraphBuilder::new("g");
    let s = [1, 2, 3, 3];
    let x = b.input("x", &s);
    let [a, c] = ["a", "b"].map(|n| constant(&mut b, n, &[2, 1, 1]));
    let y = b.node("Mul", "mul", &[x, a], Attrs::default(), &s);
    let y = b.node("Div", "div", &[y, c], Attrs::default(), &s);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE11"), 1);
    assert_example("FUSE11", &before, &after);

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &s);
    let (a, c) = (constant(&mut b, "a", &[2, 1, 1]), constant(&mut b, "c", &[3]));
    let y = b.node("Add", "add", &[x, a], Attrs::default(), &s);
    let y = b.node("Sub", "sub", &[y, c], Attrs::default(), &s);
    b.output(y);
    let (_, log) = fused(&b.finish());
    assert_eq!(reason(&log, "FUSE11", "sub"), "the constants [2, 1, 1] and [3] vary along different axes");
    assert!(!lines(&before).is_empty());
}

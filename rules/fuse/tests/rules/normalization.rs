//! FUSE14 recognize-normalization.

use crate::support::{assert_example, fired, fused, ints, lines, seeded};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};

const SHAPE: [usize; 3] = [2, 3, 8];
const ROW: [usize; 3] = [2, 3, 1];

fn reduce(axes: &[i64]) -> Attrs {
    let mut attrs = ints("axes", axes);
    attrs.set("keepdims", Attr::Int(1));
    attrs
}

/// How the variance is divided by.
enum Root {
    Divide,
    Reciprocal,
    Power,
}

/// Two passes: mean, centred, mean of squares.
fn two_pass(b: &mut GraphBuilder, x: ValueId, square: bool, root: &Root) -> ValueId {
    let plain = Attrs::default;
    let mean = b.node("ReduceMean", "mean", &[x], reduce(&[-1]), &ROW);
    let sub = b.node("Sub", "sub", &[x, mean], plain(), &SHAPE);
    let two = b.constant("two", Tensor::scalar_f32(2.0));
    let pow = match square {
        true => b.node("Mul", "pow", &[sub, sub], plain(), &SHAPE),
        false => b.node("Pow", "pow", &[sub, two], plain(), &SHAPE),
    };
    let var = b.node("ReduceMean", "var", &[pow], reduce(&[-1]), &ROW);
    let epsilon = b.constant("epsilon", Tensor::scalar_f32(1e-5));
    let eps = b.node("Add", "eps", &[var, epsilon], plain(), &ROW);
    if let Root::Power = root {
        let half = b.constant("half", Tensor::scalar_f32(-0.5));
        let inverse = b.node("Pow", "inverse", &[eps, half], plain(), &ROW);
        return b.node("Mul", "div", &[sub, inverse], plain(), &SHAPE);
    }
    let sqrt = b.node("Sqrt", "sqrt", &[eps], plain(), &ROW);
    if let Root::Reciprocal = root {
        let inverse = b.node("Reciprocal", "inverse", &[sqrt], plain(), &ROW);
        return b.node("Mul", "div", &[inverse, sub], plain(), &SHAPE);
    }
    b.node("Div", "div", &[sub, sqrt], plain(), &SHAPE)
}

fn scaled(square: bool, root: &Root) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let y = two_pass(&mut b, x, square, root);
    let gamma = b.constant("gamma", seeded(&[8], 3));
    let beta = b.constant("beta", seeded(&[8], 4));
    let y = b.node("Mul", "mul", &[y, gamma], Attrs::default(), &SHAPE);
    let y = b.node("Add", "add", &[y, beta], Attrs::default(), &SHAPE);
    b.output(y);
    b.finish()
}

#[test]
fn every_spelling_of_layer_normalization_is_found() {
    for square in [false, true] {
        for root in [Root::Divide, Root::Reciprocal, Root::Power] {
            let (after, log) = fused(&scaled(square, &root));
            assert_eq!((fired(&log, "FUSE14"), after.nodes.len()), (3, 1), "{}", lines(&after));
            assert_eq!(after.nodes[0].op, "LayerNormalization");
            assert_eq!(after.nodes[0].attrs.float("epsilon", 0.0), 1e-5);
        }
    }
    let before = scaled(false, &Root::Divide);
    assert_example("FUSE14", &before, &fused(&before).0);
}

/// `x·k + (beta - mean·k)` with `k = gamma / sqrt(mean of squares - mean² + epsilon)`.
#[test]
fn the_one_pass_form_is_found() {
    let plain = Attrs::default;
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let gamma = b.constant("gamma", seeded(&[8], 3));
    let beta = b.constant("beta", seeded(&[8], 4));
    let mean = b.node("ReduceMean", "mean", &[x], reduce(&[2]), &ROW);
    let squares = b.node("Mul", "squares", &[x, x], plain(), &SHAPE);
    let square = b.node("ReduceMean", "square", &[squares], reduce(&[2]), &ROW);
    let mean2 = b.node("Mul", "mean2", &[mean, mean], plain(), &ROW);
    let var = b.node("Sub", "var", &[square, mean2], plain(), &ROW);
    let epsilon = b.constant("epsilon", Tensor::scalar_f32(1e-3));
    let eps = b.node("Add", "eps", &[var, epsilon], plain(), &ROW);
    let sqrt = b.node("Sqrt", "sqrt", &[eps], plain(), &ROW);
    let inverse = b.node("Reciprocal", "inverse", &[sqrt], plain(), &ROW);
    let k = b.node("Mul", "k", &[inverse, gamma], plain(), &SHAPE);
    let xk = b.node("Mul", "xk", &[x, k], plain(), &SHAPE);
    let mk = b.node("Mul", "mk", &[mean, k], plain(), &SHAPE);
    let rest = b.node("Sub", "rest", &[beta, mk], plain(), &SHAPE);
    let y = b.node("Add", "y", &[xk, rest], plain(), &SHAPE);
    b.output(y);
    let (after, _) = fused(&b.finish());
    assert_eq!(after.nodes.len(), 1, "{}", lines(&after));
    assert_eq!(after.nodes[0].attrs.float("epsilon", 0.0), 1e-3);
}

#[test]
fn what_is_not_a_normalization_stays() {
    // Another epsilon than the one that is added, another axis, a part that is read elsewhere.
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let y = two_pass(&mut b, x, true, &Root::Divide);
    let mut g = {
        b.output(y);
        b.finish()
    };
    let sqrt = g.find_node("sqrt").expect("node");
    g.nodes[sqrt.0 as usize].op = "Abs".to_owned();
    assert_eq!(fired(&fused(&g).1, "FUSE14"), 0);

    let mut g = scaled(true, &Root::Divide);
    let v = g.find_value("sqrt_out").expect("value");
    g.outputs.push(v);
    assert_eq!(fired(&fused(&g).1, "FUSE14"), 0);
}

/// The form of channels-first networks: mean and variance over the channels of an image.
#[test]
fn other_axes_are_turned_to_the_end() {
    let plain = Attrs::default;
    let (shape, row) = ([2, 6, 3, 5], [2, 1, 3, 5]);
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &shape);
    let mean = b.node("ReduceMean", "mean", &[x], reduce(&[1]), &row);
    let sub = b.node("Sub", "sub", &[x, mean], plain(), &shape);
    let pow = b.node("Mul", "pow", &[sub, sub], plain(), &shape);
    let var = b.node("ReduceMean", "var", &[pow], reduce(&[1]), &row);
    let epsilon = b.constant("epsilon", Tensor::scalar_f32(1e-6));
    let eps = b.node("Add", "eps", &[var, epsilon], plain(), &row);
    let sqrt = b.node("Sqrt", "sqrt", &[eps], plain(), &row);
    let div = b.node("Div", "div", &[sub, sqrt], plain(), &shape);
    let gamma = b.constant("gamma", seeded(&[6, 1, 1], 3));
    let beta = b.constant("beta", seeded(&[6, 1, 1], 4));
    let y = b.node("Mul", "mul", &[div, gamma], plain(), &shape);
    let y = b.node("Add", "add", &[y, beta], plain(), &shape);
    b.output(y);
    let (after, log) = fused(&b.finish());
    let ops: Vec<&str> = after.nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!((fired(&log, "FUSE14"), &ops[..]), (1, &["Transpose", "LayerNormalization", "Transpose"][..]));
    assert_eq!(after.nodes[1].attrs.int("axis", 0), 3);
    assert_eq!(after.nodes[1].covers.len(), 8);
}

/// Channels last, each normalized over height and width.
#[test]
fn an_instance_normalization_with_channels_last_is_found() {
    let plain = Attrs::default;
    let (shape, row) = ([2, 5, 4, 3], [2, 1, 1, 3]);
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &shape);
    let mean = b.node("ReduceMean", "mean", &[x], reduce(&[1, 2]), &row);
    let sub = b.node("Sub", "sub", &[x, mean], plain(), &shape);
    let squares = b.node("Mul", "squares", &[sub, sub], plain(), &shape);
    let var = b.node("ReduceMean", "var", &[squares], reduce(&[1, 2]), &row);
    let epsilon = b.constant("epsilon", Tensor::scalar_f32(1e-3));
    let eps = b.node("Add", "eps", &[var, epsilon], plain(), &row);
    let sqrt = b.node("Sqrt", "sqrt", &[eps], plain(), &row);
    let gamma = b.constant("gamma", seeded(&[1, 1, 1, 3], 3));
    let k = b.node("Div", "k", &[gamma, sqrt], plain(), &row);
    let y = b.node("Mul", "y", &[sub, k], plain(), &shape);
    b.output(y);
    let (after, _) = fused(&b.finish());
    let ops: Vec<&str> = after.nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Transpose", "InstanceNormalization", "Transpose"], "{}", lines(&after));
}

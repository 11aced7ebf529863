//! FUSE23 recognize-softmax.

use crate::support::{assert_example, covers, fired, fused, ints, lines, reason};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};

const SHAPE: [usize; 3] = [2, 3, 8];

/// How the shares are spelled.
#[derive(Clone, Copy)]
struct Spelling {
    axis: usize,
    subtract: bool,
    keep: bool,
    reciprocal: bool,
}

const PLAIN: Spelling = Spelling { axis: 2, subtract: true, keep: true, reciprocal: false };

fn without(axis: usize, keep: bool) -> Vec<usize> {
    let mut shape = SHAPE.to_vec();
    match keep {
        true => shape[axis] = 1,
        false => drop(shape.remove(axis)),
    }
    shape
}

fn reduce(b: &mut GraphBuilder, op: &str, name: &str, x: ValueId, s: Spelling) -> ValueId {
    let shape = without(s.axis, s.keep);
    let mut attrs = Attrs::of([("keepdims", Attr::Int(i64::from(s.keep)))]);
    let mut inputs = vec![x];
    match op {
        "ReduceSum" => inputs.push(b.constant(&format!("{name}_axes"), Tensor::vec_i64(vec![s.axis as i64]))),
        _ => attrs.set("axes", Attr::Ints(vec![s.axis as i64])),
    }
    let y = b.node(op, name, &inputs, attrs, &shape);
    if s.keep {
        return y;
    }
    let row = without(s.axis, true);
    let target = b.constant(&format!("{name}_shape"), Tensor::vec_i64(row.iter().map(|&d| d as i64).collect()));
    b.node("Reshape", &format!("{name}_back"), &[y, target], Attrs::default(), &row)
}

fn shares(b: &mut GraphBuilder, mut x: ValueId, s: Spelling) -> ValueId {
    if s.subtract {
        let max = reduce(b, "ReduceMax", "max", x, s);
        x = b.node("Sub", "sub", &[x, max], Attrs::default(), &SHAPE);
    }
    let exp = b.node("Exp", "exp", &[x], Attrs::default(), &SHAPE);
    let sum = reduce(b, "ReduceSum", "sum", exp, s);
    if s.reciprocal {
        let inverse = b.node("Reciprocal", "inverse", &[sum], Attrs::default(), &without(s.axis, true));
        return b.node("Mul", "div", &[inverse, exp], Attrs::default(), &SHAPE);
    }
    b.node("Div", "div", &[exp, sum], Attrs::default(), &SHAPE)
}

fn graph(s: Spelling) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let y = shares(&mut b, x, s);
    b.output(y);
    b.finish()
}

#[test]
fn every_spelling_becomes_one_softmax() {
    for axis in 0..3 {
        for (subtract, keep, reciprocal) in
            [(true, true, false), (false, true, false), (true, false, true), (false, false, false)]
        {
            let (after, log) = fused(&graph(Spelling { axis, subtract, keep, reciprocal }));
            assert_eq!((fired(&log, "FUSE23"), after.nodes.len()), (1, 1), "{}", lines(&after));
            assert_eq!((after.nodes[0].op.as_str(), after.nodes[0].attrs.int("axis", -1)), ("Softmax", axis as i64));
        }
    }
    let before = graph(PLAIN);
    let (after, _) = fused(&before);
    assert_example("FUSE23", &before, &after);
    assert_eq!(covers(&after, "div"), ["max", "sub", "exp", "sum"]);
}

#[test]
fn a_part_that_is_read_elsewhere_stays() {
    let mut g = graph(PLAIN);
    let v = g.find_value("sum_out").expect("value");
    g.outputs.push(v);
    let (_, log) = fused(&g);
    assert_eq!(reason(&log, "FUSE23", "div"), "the output of sum is the model output sum_out");

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let y = shares(&mut b, x, PLAIN);
    b.output(y);
    let mut g = b.finish();
    let exp = g.find_value("exp_out").expect("value");
    let other = g.add_value("other_out".to_owned(), ptq_ir::DType::F32, SHAPE.to_vec());
    let mut node = g.nodes[g.find_node("exp").expect("node").0 as usize].clone();
    (node.name, node.op, node.inputs, node.outputs) = ("other".into(), "Neg".into(), vec![Some(exp)], vec![other]);
    g.nodes.push(node);
    g.outputs.push(other);
    let (_, log) = fused(&g);
    assert_eq!(reason(&log, "FUSE23", "div"), "the output of exp is also read by other");
}

#[test]
fn what_is_no_softmax_stays() {
    // A sum along another axis than the subtracted numbers do not depend on, and a sum of something else.
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let exp = b.node("Exp", "exp", &[x], Attrs::default(), &SHAPE);
    let sum = reduce(&mut b, "ReduceSum", "sum", x, PLAIN);
    let y = b.node("Div", "div", &[exp, sum], Attrs::default(), &SHAPE);
    b.output(y);
    assert_eq!(fired(&fused(&b.finish()).1, "FUSE23"), 0);

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let exp = b.node("Exp", "exp", &[x], Attrs::default(), &SHAPE);
    let mut attrs = ints("axes", &[1, 2]);
    attrs.set("keepdims", Attr::Int(1));
    let sum = b.node("ReduceSum", "sum", &[exp], attrs, &[2, 1, 1]);
    let y = b.node("Div", "div", &[exp, sum], Attrs::default(), &SHAPE);
    b.output(y);
    assert_eq!(fired(&fused(&b.finish()).1, "FUSE23"), 0);
}

/// Numbers of each element are no constant of a row: the difference is what Softmax is of.
#[test]
fn only_one_number_a_row_is_dropped() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let other = b.input("other", &SHAPE);
    let sub = b.node("Sub", "sub", &[x, other], Attrs::default(), &SHAPE);
    let y = shares(&mut b, sub, Spelling { subtract: false, ..PLAIN });
    b.output(y);
    let (after, _) = fused(&b.finish());
    let ops: Vec<&str> = after.nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Sub", "Softmax"]);
}

/// The largest value and the sum go through a Reshape and an Expand, the former also through a Max, as JAX writes it.
#[test]
fn the_spelling_with_expanded_numbers_is_found() {
    let plain = Attrs::default;
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let whole = b.constant("whole", Tensor::vec_i64(vec![2, 3, 8]));
    let lowest = b.constant("lowest", Tensor::scalar_f32(f32::NEG_INFINITY));
    let folded = Spelling { keep: false, ..PLAIN };
    let max = reduce(&mut b, "ReduceMax", "max", x, folded);
    let max = b.node("Max", "bounded", &[lowest, max], plain(), &[2, 3, 1]);
    let max = b.node("Expand", "max_whole", &[max, whole], plain(), &SHAPE);
    let sub = b.node("Sub", "sub", &[x, max], plain(), &SHAPE);
    let exp = b.node("Exp", "exp", &[sub], plain(), &SHAPE);
    let sum = reduce(&mut b, "ReduceSum", "sum", exp, folded);
    let sum = b.node("Expand", "sum_whole", &[sum, whole], plain(), &SHAPE);
    let y = b.node("Div", "div", &[exp, sum], plain(), &SHAPE);
    b.output(y);
    let (after, _) = fused(&b.finish());
    assert_eq!((after.nodes.len(), after.nodes[0].op.as_str()), (1, "Softmax"), "{}", lines(&after));
}

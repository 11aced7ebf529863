//! FUSE12 recognize-function and FUSE13 outline-function.

use crate::support::{assert_example, conv, covers, fired, fused, lines};
use ptq_ir::ops::ScalarFunction;
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};

const SHAPE: [usize; 4] = [1, 2, 3, 3];

/// Nodes in text form, `name = Op(a, b)`: an operand is `x`, the name of an earlier node, or a number.
fn graph(text: &str) -> Graph {
    let mut b = GraphBuilder::new("g");
    let mut known = vec![("x".to_owned(), b.input("x", &SHAPE))];
    let mut last = known[0].1;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (name, call) = line.split_once(" = ").expect("name = call");
        let (op, rest) = call.split_once('(').expect("a call");
        let mut attrs = Attrs::default();
        let mut inputs: Vec<ValueId> = Vec::new();
        for (i, part) in rest.trim_end_matches(')').split(", ").enumerate() {
            if let Some((attr, value)) = part.split_once('=') {
                attrs.set(attr, Attr::Float(value.parse().expect("a number")));
            } else if let Some((_, v)) = known.iter().find(|(n, _)| n == part) {
                inputs.push(*v);
            } else {
                let number = Tensor::scalar_f32(part.parse().expect("a number"));
                inputs.push(b.constant(&format!("{name}_{i}"), number));
            }
        }
        last = b.node(op, name, &inputs, attrs, &SHAPE);
        known.push((name.to_owned(), last));
    }
    b.output(last);
    b.finish()
}

/// The only operator that is left.
fn single(text: &str) -> (String, Attrs) {
    let (after, _) = fused(&graph(text));
    assert_eq!(after.nodes.len(), 1, "{text}\n{}", lines(&after));
    (after.nodes[0].op.clone(), after.nodes[0].attrs.clone())
}

#[test]
fn every_spelling_of_hard_swish_is_found() {
    for text in [
        "a = Add(x, 3)\n b = Clip(a, 0, 6)\n c = Mul(x, b)\n y = Div(c, 6)",
        "a = Add(3, x)\n b = Clip(a, 0, 6)\n c = Div(b, 6)\n y = Mul(c, x)",
        "a = Add(x, 3)\n b = Clip(a, 0, 6)\n c = Mul(b, 0.16666667)\n y = Mul(x, c)",
        "a = Add(x, 3)\n b = Clip(a, 0, 6)\n c = Mul(b, x)\n y = Mul(0.16666667, c)",
        "a = Add(x, 3)\n r = Relu(a)\n b = Min(r, 6)\n c = Div(b, 6)\n y = Mul(x, c)",
        "a = Add(x, 3)\n r = Max(a, 0)\n b = Min(6, r)\n c = Div(b, 6)\n y = Mul(x, c)",
        "a = HardSigmoid(x, alpha=0.16666667, beta=0.5)\n y = Mul(x, a)",
        "d = Div(x, 6)\n a = Add(x, 3)\n b = Clip(a, 0, 6)\n y = Mul(d, b)",
    ] {
        assert_eq!(single(text).0, "HardSwish", "{text}");
    }
}

#[test]
fn other_functions_with_an_operator_are_found() {
    for (text, op) in [
        ("a = Add(x, 3)\n b = Clip(a, 0, 6)\n y = Div(b, 6)", "HardSigmoid"),
        ("y = Max(x, 0)", "Relu"),
        ("a = Max(0, x)\n y = Min(a, 6)", "Clip"),
        ("a = Min(x, 6)\n y = Max(a, 0)", "Clip"),
        ("a = Mul(x, 0.1)\n y = Max(x, a)", "LeakyRelu"),
        ("a = Neg(x)\n b = Exp(a)\n c = Add(1, b)\n y = Div(1, c)", "Sigmoid"),
        ("a = Neg(x)\n b = Exp(a)\n c = Add(1, b)\n y = Reciprocal(c)", "Sigmoid"),
        ("a = Exp(x)\n b = Add(a, 1)\n y = Log(b)", "Softplus"),
        ("a = Neg(x)\n y = Max(x, a)", "Abs"),
    ] {
        assert_eq!(single(text).0, op, "{text}");
    }
    let (_, attrs) = single("a = Add(x, 3)\n b = Clip(a, 0, 6)\n y = Div(b, 6)");
    assert_eq!((attrs.float("alpha", 0.0), attrs.float("beta", 0.0)), (1.0 / 6.0, 0.5));
    assert_eq!(single("a = Mul(x, 0.1)\n y = Max(x, a)").1.float("alpha", 0.0), 0.1);
}

#[test]
fn what_is_almost_an_operator_is_not_taken_for_it() {
    for text in [
        "a = Add(x, 3)\n b = Clip(a, 0, 6)\n c = Mul(x, b)\n y = Div(c, 6.001)",
        "a = Add(x, 2.9)\n b = Clip(a, 0, 6)\n c = Mul(x, b)\n y = Div(c, 6)",
        "a = Add(x, 0.000001)\n y = Mul(a, 1.000001)",
        "a = Clip(x, 0, 600000)\n y = Mul(a, 0.5)",
    ] {
        assert_eq!(fired(&fused(&graph(text)).1, "FUSE12"), 0, "{text}");
    }
}

#[test]
fn the_example_of_hard_swish() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let [zero, three, six] =
        [("zero", 0.0), ("three", 3.0), ("six", 6.0)].map(|(n, v)| b.constant(n, Tensor::scalar_f32(v)));
    let plus = b.node("Add", "plus", &[x, three], Attrs::default(), &SHAPE);
    let clip = b.node("Clip", "clip", &[plus, zero, six], Attrs::default(), &SHAPE);
    let times = b.node("Mul", "times", &[x, clip], Attrs::default(), &SHAPE);
    let y = b.node("Div", "div", &[times, six], Attrs::default(), &SHAPE);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE12"), 1);
    assert_eq!(covers(&after, "div"), ["plus", "clip", "times"]);
    assert_example("FUSE12", &before, &after);
}

#[test]
fn functions_without_an_operator_become_one_node() {
    for (text, steps) in [
        ("g = Sigmoid(x)\n y = Mul(g, x)", 2),
        ("a = Mul(x, 1.702)\n g = Sigmoid(a)\n y = Mul(x, g)", 3),
        ("a = Div(x, 1.4142135)\n e = Erf(a)\n p = Add(e, 1)\n m = Mul(x, p)\n y = Mul(m, 0.5)", 5),
        ("h = Mul(x, 0.5)\n a = Mul(x, 0.70710677)\n e = Erf(a)\n p = Add(e, 1)\n y = Mul(h, p)", 5),
        (
            "c = Pow(x, 3)\n k = Mul(c, 0.044715)\n s = Add(x, k)\n m = Mul(s, 0.7978846)\n t = Tanh(m)\n p = Add(t, 1)\n \
          h = Mul(x, 0.5)\n y = Mul(h, p)",
            8,
        ),
        ("e = Exp(x)\n p = Add(e, 1)\n s = Log(p)\n t = Tanh(s)\n y = Mul(x, t)", 3),
        ("h = HardSwish(x)\n m = Mul(h, 0.7)\n y = Add(m, 0.2)", 3),
    ] {
        let (op, attrs) = single(text);
        assert_eq!(op, "Function", "{text}");
        assert_eq!(ScalarFunction::of(&attrs).expect("a function").steps.len(), steps, "{text}");
    }
}

#[test]
fn results_of_a_function_do_not_change_by_a_bit() {
    let before = graph("a = Mul(x, 1.702)\n g = Sigmoid(a)\n y = Mul(x, g)");
    let mut after = before.clone();
    ptq_fuse::fuse(&mut after).expect("fuses");
    let x = crate::support::seeded(&SHAPE, 5);
    let run = |g: &Graph| {
        let plan = ptq_exec::FloatPlan::new(g).expect("plan");
        plan.run(std::slice::from_ref(&x), &mut |_, _| {}).expect("runs")
    };
    assert_eq!(run(&before), run(&after));
}

#[test]
fn the_example_of_a_function() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let gate = b.node("Sigmoid", "gate", &[x], Attrs::default(), &SHAPE);
    let y = b.node("Mul", "silu", &[x, gate], Attrs::default(), &SHAPE);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE13"), 1);
    assert_example("FUSE13", &before, &after);
}

#[test]
fn a_relu_behind_a_conv_stays_for_the_conv() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let c = conv(&mut b, "conv", x, [2, 2, 1, 1], Attrs::default(), &SHAPE);
    let r = b.node("Relu", "relu", &[c], Attrs::default(), &SHAPE);
    let k = b.constant("k", Tensor::scalar_f32(0.3));
    let m = b.node("Mul", "scale", &[r, k], Attrs::default(), &SHAPE);
    let s = b.node("Sigmoid", "sigmoid", &[m], Attrs::default(), &SHAPE);
    b.output(s);
    let (after, _) = fused(&b.finish());
    assert_eq!(
        lines(&after),
        "conv = Conv(x, conv_w, conv_b) -> conv_out:float32[1, 2, 3, 3]\n\
         relu = Relu(conv_out) fusible into conv -> relu_out:float32[1, 2, 3, 3]\n\
         sigmoid = Function(relu_out) of Mul(x, 0.3); Sigmoid(%0) -> sigmoid_out:float32[1, 2, 3, 3]"
    );
}

#[test]
fn parts_that_others_read_or_that_do_not_fit_8_bits_stay() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let gate = b.node("Sigmoid", "gate", &[x], Attrs::default(), &SHAPE);
    let y = b.node("Mul", "silu", &[x, gate], Attrs::default(), &SHAPE);
    b.output(y);
    b.output(gate);
    assert_eq!(fused(&b.finish()).0.nodes.len(), 2);

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let abs = b.node("Abs", "abs", &[x], Attrs::default(), &SHAPE);
    let eps = b.constant("eps", Tensor::scalar_f32(1e-3));
    let sum = b.node("Add", "sum", &[abs, eps], Attrs::default(), &SHAPE);
    let root = b.node("Sqrt", "root", &[sum], Attrs::default(), &SHAPE);
    let y = b.node("Reciprocal", "inverse", &[root], Attrs::default(), &SHAPE);
    b.output(y);
    assert!(lines(&fused(&b.finish()).0).contains("root = Sqrt(sum_out)"));
}

//! FUSE02 remove-identity.

use crate::support::{assert_example, conv, covers, fired, fused, ints, lines, reason};
use ptq_ir::{Attr, Attrs, DType, Graph, GraphBuilder, Node, Tensor, ValueId};

/// Conv → one node → Sigmoid.
fn between(make: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 3, 3]);
    let c = conv(&mut b, "conv", x, [2, 2, 1, 1], Attrs::default(), &[1, 2, 3, 3]);
    let m = make(&mut b, c);
    let y = b.node("Sigmoid", "sigmoid", &[m], Attrs::default(), &[1, 2, 3, 3]);
    b.output(y);
    b.finish()
}

const SAME: [usize; 4] = [1, 2, 3, 3];

#[test]
fn a_node_that_changes_nothing_is_removed() {
    let before = between(|b, x| b.node("Identity", "same", &[x], Attrs::default(), &SAME));
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE02"), 1);
    assert_eq!(covers(&after, "conv"), ["same"]);
    assert_example("FUSE02", &before, &after);
}

#[test]
fn no_ops_of_other_operators_are_removed() {
    let cases: Vec<(&str, Attrs, Vec<Tensor>)> = vec![
        ("Dropout", Attrs::default(), vec![]),
        ("Cast", Attrs::of([("to", Attr::Int(1))]), vec![]),
        ("Reshape", Attrs::default(), vec![Tensor::vec_i64(vec![1, 2, 3, 3])]),
        ("Transpose", ints("perm", &[0, 1, 2, 3]), vec![]),
        ("Pad", Attrs::default(), vec![Tensor::vec_i64(vec![0; 8])]),
        ("Concat", Attrs::of([("axis", Attr::Int(1))]), vec![]),
        ("Slice", Attrs::default(), [vec![0], vec![99], vec![2], vec![1]].into_iter().map(Tensor::vec_i64).collect()),
    ];
    for (op, attrs, constants) in cases {
        let (after, log) = fused(&between(|b, x| {
            let mut inputs = vec![x];
            for (i, t) in constants.iter().enumerate() {
                inputs.push(b.constant(&format!("c{i}"), t.clone()));
            }
            b.node(op, "same", &inputs, attrs.clone(), &SAME)
        }));
        assert_eq!(fired(&log, "FUSE02"), 1, "{op}");
        assert_eq!(covers(&after, "conv"), ["same"], "{op}");
    }
}

#[test]
fn sums_with_0_and_products_with_1_are_removed() {
    let number = Tensor::scalar_f32;
    for (op, value) in [("Add", 0.0), ("Sub", 0.0), ("Mul", 1.0), ("Div", 1.0), ("Pow", 1.0)] {
        let g = |first: bool| {
            between(|b, x| {
                let c = b.constant("c", number(value));
                let operands = if first { [c, x] } else { [x, c] };
                b.node(op, "same", &operands, Attrs::default(), &SAME)
            })
        };
        assert_eq!(fired(&fused(&g(false)).1, "FUSE02"), 1, "{op}");
        if op == "Add" || op == "Mul" {
            assert_eq!(fired(&fused(&g(true)).1, "FUSE02"), 1, "{op}");
        } else if op == "Sub" {
            assert_eq!(fired(&fused(&g(true)).1, "FUSE02"), 0, "0 - x is not x");
        }
    }
    let pool = between(|b, x| b.node("MaxPool", "same", &[x], ints("kernel_shape", &[1, 1]), &SAME));
    assert_eq!(fired(&fused(&pool).1, "FUSE02"), 1);
}

#[test]
fn a_reversing_slice_and_a_shifting_pad_keep_their_shape_but_stay() {
    let slice = between(|b, x| {
        let constants =
            [("s", -1), ("e", -99), ("a", 2), ("p", -1)].map(|(n, v)| b.constant(n, Tensor::vec_i64(vec![v])));
        let inputs: Vec<ValueId> = std::iter::once(x).chain(constants).collect();
        b.node("Slice", "reverse", &inputs, Attrs::default(), &SAME)
    });
    let (after, log) = fused(&slice);
    assert!(after.find_node("reverse").is_some());
    assert_eq!(fired(&log, "FUSE02"), 0);
    let pad = between(|b, x| {
        let p = b.constant("p", Tensor::vec_i64(vec![0, 0, 1, 0, 0, 0, -1, 0]));
        b.node("Pad", "shift", &[x, p], Attrs::default(), &SAME)
    });
    assert!(fused(&pad).0.find_node("shift").is_some());
}

#[test]
fn the_producer_takes_over_a_model_output_s_name() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SAME);
    let c = conv(&mut b, "conv", x, [2, 2, 1, 1], Attrs::default(), &SAME);
    let other = b.node("Sigmoid", "sigmoid", &[c], Attrs::default(), &SAME);
    let y = b.node("Identity", "same", &[c], Attrs::default(), &SAME);
    b.output(y);
    b.output(other);
    let (after, _) = fused(&b.finish());
    assert_eq!(
        lines(&after),
        "conv = Conv(x, conv_w, conv_b) -> same_out:float32[1, 2, 3, 3]\n\
         sigmoid = Sigmoid(same_out) -> sigmoid_out:float32[1, 2, 3, 3]"
    );
}

#[test]
fn names_of_the_model_s_borders_are_kept() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SAME);
    let y = b.node("Identity", "same", &[x], Attrs::default(), &SAME);
    b.output(y);
    let (after, log) = fused(&b.finish());
    assert_eq!(after.nodes.len(), 1);
    assert_eq!(reason(&log, "FUSE02", "same"), "it connects x, which no node makes, to the model output same_out");

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SAME);
    let c = b.node("Relu", "relu", &[x], Attrs::default(), &SAME);
    let y = b.node("Identity", "same", &[c], Attrs::default(), &SAME);
    b.output(c);
    b.output(y);
    let (_, log) = fused(&b.finish());
    assert_eq!(reason(&log, "FUSE02", "same"), "its input relu_out and its result same_out are both model outputs");
}

fn dropout(training: Option<bool>, read_mask: bool) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4]);
    let ratio = b.constant("ratio", Tensor::scalar_f32(0.5));
    let mut g = b.finish();
    let mode = training.map(|t| g.add_constant("mode", Tensor::from_bool(vec![], vec![t]).expect("count")));
    let y = g.add_value("y", DType::F32, vec![1, 4]);
    let mask = g.add_value("mask", DType::Bool, vec![1, 4]);
    let node = |name: &str, op: &str, inputs: Vec<Option<ValueId>>, outputs: Vec<ValueId>| Node {
        name: name.into(),
        op: op.into(),
        domain: String::new(),
        inputs,
        outputs,
        attrs: Attrs::default(),
        covers: vec![],
        fusible_into: None,
    };
    let z = g.add_value("z", DType::F32, vec![1, 4]);
    g.nodes.push(node("drop", "Dropout", vec![Some(x), Some(ratio), mode], vec![y, mask]));
    g.nodes.push(node("relu", "Relu", vec![Some(y)], vec![z]));
    g.outputs.push(z);
    if read_mask {
        g.outputs.push(mask);
    }
    g
}

#[test]
fn a_dropout_that_may_drop_or_whose_mask_is_read_stays() {
    let mut reasons = Vec::new();
    for (training, mask) in [(Some(true), false), (None, true)] {
        let mut g = dropout(training, mask);
        let log = ptq_fuse::fuse(&mut g).expect("fuses");
        reasons.push(reason(&log, "FUSE02", "drop").to_owned());
    }
    assert_eq!(reasons, ["training_mode is set", "its mask mask is read"]);
    let mut g = dropout(Some(false), false);
    let log = ptq_fuse::fuse(&mut g).expect("fuses");
    assert_eq!((fired(&log, "FUSE02"), covers(&g, "relu")), (1, &["drop".to_owned()][..]));
}

#[test]
fn a_cast_that_narrows_stays() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[4]);
    let mut g = b.finish();
    let y = g.add_value("y", DType::I32, vec![4]);
    g.nodes.push(Node {
        name: "cast".into(),
        op: "Cast".into(),
        domain: String::new(),
        inputs: vec![Some(x)],
        outputs: vec![y],
        attrs: Attrs::of([("to", Attr::Int(6))]),
        covers: vec![],
        fusible_into: None,
    });
    g.outputs.push(y);
    let mut after = g.clone();
    ptq_fuse::fuse(&mut after).expect("fuses");
    assert_eq!(after.nodes.len(), 1);
}

//! FUSE01 fold-constants.

use crate::support::{assert_example, conv, fired, fused, lines, reason, seeded};
use ptq_ir::{Attr, Attrs, DType, Graph, GraphBuilder, Node, Tensor};

/// A node with an int64 vector as output.
fn int_node(
    g: &mut Graph,
    op: &str,
    name: &str,
    inputs: &[ptq_ir::ValueId],
    attrs: Attrs,
    len: usize,
) -> ptq_ir::ValueId {
    let out = g.add_value(format!("{name}_out"), DType::I64, vec![len]);
    g.nodes.push(Node {
        name: name.into(),
        op: op.into(),
        domain: String::new(),
        inputs: inputs.iter().map(|v| Some(*v)).collect(),
        outputs: vec![out],
        attrs,
        covers: vec![],
        fusible_into: None,
    });
    out
}

#[test]
fn a_shape_chain_becomes_a_constant() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 3, 4]);
    let mut g = b.finish();
    let batch = int_node(&mut g, "Shape", "shape", &[x], Attrs::of([("end", Attr::Int(1))]), 1);
    let rest = g.add_constant("rest", Tensor::vec_i64(vec![-1]));
    let dims = int_node(&mut g, "Concat", "dims", &[batch, rest], Attrs::of([("axis", Attr::Int(0))]), 2);
    let y = g.add_value("y", DType::F32, vec![2, 12]);
    g.nodes.push(Node {
        name: "flat".into(),
        op: "Reshape".into(),
        domain: String::new(),
        inputs: vec![Some(x), Some(dims)],
        outputs: vec![y],
        attrs: Attrs::default(),
        covers: vec![],
        fusible_into: None,
    });
    g.outputs.push(y);
    // The graph in front cannot be run: a Shape is always folded before execution.
    let mut after = g.clone();
    let log = ptq_fuse::fuse(&mut after).expect("fuses");
    assert_eq!(fired(&log, "FUSE01"), 2);
    let dims = after.find_value("dims_out").expect("kept its name");
    assert_eq!(after.constant(dims), Some(&Tensor::vec_i64(vec![2, -1])));
    assert_example("FUSE01", &g, &after);
}

#[test]
fn negative_and_absent_ends_of_shape_follow_onnx() {
    for (attrs, wanted) in [
        (Attrs::default(), vec![2, 3, 4]),
        (Attrs::of([("start", Attr::Int(-1))]), vec![4]),
        (Attrs::of([("end", Attr::Int(-1))]), vec![2, 3]),
        (Attrs::of([("start", Attr::Int(1)), ("end", Attr::Int(9))]), vec![3, 4]),
    ] {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[2, 3, 4]);
        let mut g = b.finish();
        let dims = int_node(&mut g, "Shape", "shape", &[x], attrs, wanted.len());
        let kept = int_node(&mut g, "Identity", "out", &[dims], Attrs::default(), wanted.len());
        g.outputs.push(kept);
        let mut after = g.clone();
        let log = ptq_fuse::fuse(&mut after).expect("fuses");
        let dims = after.find_value("shape_out").expect("constant");
        assert_eq!(after.constant(dims), Some(&Tensor::vec_i64(wanted)));
        assert_eq!(reason(&log, "FUSE01", "out"), "its result out_out is a model output");
    }
}

#[test]
fn a_constant_branch_is_computed_once() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4]);
    let p = b.constant("p", seeded(&[1, 4], 1));
    let q = b.constant("q", seeded(&[1, 4], 2));
    let sum = b.node("Add", "sum", &[p, q], Attrs::default(), &[1, 4]);
    let y = b.node("Mul", "mul", &[x, sum], Attrs::default(), &[1, 4]);
    b.output(y);
    let (after, log) = fused(&b.finish());
    assert_eq!(lines(&after), "mul = Mul(x, sum_out) -> mul_out:float32[1, 4]");
    assert_eq!(fired(&log, "FUSE01"), 1);
}

#[test]
fn an_operator_that_is_not_evaluated_stays() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1]);
    let c = b.constant("c", seeded(&[1], 1));
    let odd = b.node("RandomNormalLike", "odd", &[c], Attrs::default(), &[1]);
    let y = b.node("Add", "add", &[x, odd], Attrs::default(), &[1]);
    b.output(y);
    let mut g = b.finish();
    let log = ptq_fuse::fuse(&mut g).expect("fuses");
    assert_eq!(reason(&log, "FUSE01", "odd"), "operator RandomNormalLike is not evaluated at build time");
}

#[test]
fn a_large_result_stays_a_node() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1]);
    let small = b.constant("small", seeded(&[1], 1));
    let shape = b.constant("shape", Tensor::vec_i64(vec![17 << 20]));
    let large = b.node("Expand", "large", &[small, shape], Attrs::default(), &[17 << 20]);
    let y = b.node("Mul", "mul", &[x, large], Attrs::default(), &[17 << 20]);
    b.output(y);
    let mut g = b.finish();
    let log = ptq_fuse::fuse(&mut g).expect("fuses");
    let wanted = "its result of 71303168 bytes exceeds the limit of 67108864 bytes";
    assert_eq!(reason(&log, "FUSE01", "large"), wanted);
}

#[test]
fn a_result_that_contradicts_its_declaration_is_reported() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 2, 2]);
    let p = b.constant("p", seeded(&[4], 1));
    let wrong = b.node("Neg", "neg", &[p], Attrs::default(), &[2, 2]);
    let y = conv(&mut b, "conv", x, [2, 4, 1, 1], Attrs::default(), &[1, 2, 2, 2]);
    let z = b.node("Add", "add", &[y, wrong], Attrs::default(), &[1, 2, 2, 2]);
    b.output(z);
    let mut g = b.finish();
    let log = ptq_fuse::fuse(&mut g).expect("fuses");
    assert_eq!(reason(&log, "FUSE01", "neg"), "evaluates to float32[4], declared float32[2, 2]");
}

#[test]
fn constant_nodes_become_constants_in_every_numeric_form() {
    let forms = [
        ("value", Attr::Tensor(Tensor::from_f32([2], vec![1.0, 2.0]).expect("count")), vec![2]),
        ("value_float", Attr::Float(3.0), vec![]),
        ("value_floats", Attr::Floats(vec![3.0, 4.0]), vec![2]),
    ];
    for (name, attr, shape) in forms {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[2]);
        let c = b.node("Constant", "c", &[], Attrs::of([(name, attr)]), &shape);
        let y = b.node("Mul", "mul", &[x, c], Attrs::default(), &[2]);
        b.output(y);
        let mut g = b.finish();
        ptq_fuse::fuse(&mut g).expect("fuses");
        assert_eq!((g.nodes.len(), g.constants.len()), (1, 1), "{name}");
    }
}

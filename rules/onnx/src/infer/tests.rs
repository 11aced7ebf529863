//! Shapes and types of every operator family, by hand.
#![allow(clippy::unwrap_used)]

use super::*;
use ptq_ir::{Attr, Attrs, Tensor, ValueId};

/// An input of a case: a float32 value, a value of another type, a constant, or nothing.
enum In {
    F(&'static [usize]),
    T(DType, &'static [usize]),
    C(Tensor),
    None,
}
use In::{C, F, T};

fn ints(values: &[i64]) -> In {
    C(Tensor::vec_i64(values.to_vec()))
}

fn scalar(value: i64) -> In {
    C(Tensor::from_i64(vec![], vec![value]).unwrap())
}

fn list(values: &[i64]) -> Attr {
    Attr::Ints(values.to_vec())
}

fn word(w: &str) -> Attr {
    Attr::Str(w.to_owned())
}

fn run(op: &str, inputs: Vec<In>, attrs: Attrs, outputs: usize) -> Result<Vec<(DType, Vec<usize>)>, Diagnostic> {
    let mut graph = Graph::default();
    let ids = inputs
        .into_iter()
        .enumerate()
        .map(|(i, input)| match input {
            F(shape) => Some(graph.add_value(format!("i{i}"), DType::F32, shape.to_vec())),
            T(dtype, shape) => Some(graph.add_value(format!("i{i}"), dtype, shape.to_vec())),
            C(tensor) => Some(graph.add_constant(format!("i{i}"), tensor)),
            In::None => None,
        })
        .collect();
    let node = Node {
        name: "n".to_owned(),
        op: op.to_owned(),
        domain: String::new(),
        inputs: ids,
        outputs: vec![ValueId(0); outputs],
        attrs,
        covers: vec![],
        fusible_into: None,
    };
    infer(&graph, &node)
}

fn shape<const N: usize>(op: &str, inputs: Vec<In>, attrs: [(&str, Attr); N]) -> Vec<usize> {
    run(op, inputs, Attrs::of(attrs), 1).unwrap().remove(0).1
}

fn dtype<const N: usize>(op: &str, inputs: Vec<In>, attrs: [(&str, Attr); N]) -> DType {
    run(op, inputs, Attrs::of(attrs), 1).unwrap().remove(0).0
}

fn fails<const N: usize>(op: &str, inputs: Vec<In>, attrs: [(&str, Attr); N], why: &str) {
    let error = run(op, inputs, Attrs::of(attrs), 1).unwrap_err();
    assert!(error.message.contains(why) && error.place.node.as_deref() == Some("n"), "{op}: {error}");
}

#[test]
fn convolutions() {
    let x = || F(&[1, 4, 9, 10]);
    let two = |a, b| list(&[a, b]);
    assert_eq!(shape("Conv", vec![x(), F(&[8, 4, 3, 3]), F(&[8])], [("strides", two(2, 2))]), [1, 8, 4, 4]);
    assert_eq!(
        shape("Conv", vec![x(), F(&[8, 1, 3, 3])], [("group", Attr::Int(4)), ("pads", list(&[1, 1, 1, 1]))]),
        [1, 8, 9, 10]
    );
    assert_eq!(
        shape("Conv", vec![x(), F(&[8, 4, 3, 3])], [("auto_pad", word("SAME_UPPER")), ("strides", two(2, 2))]),
        [1, 8, 5, 5]
    );
    assert_eq!(shape("Conv", vec![F(&[2, 4, 9]), F(&[8, 4, 3])], [("dilations", list(&[2]))]), [2, 8, 5]);
    fails("Conv", vec![x(), F(&[8, 3, 3, 3])], [], "do not fit input");
    fails("Conv", vec![x(), F(&[8, 4, 3, 3]), F(&[7])], [], "bias [7]");
    fails("Conv", vec![x(), F(&[8, 4, 30, 3])], [], "larger than the padded input");
    fails("Conv", vec![x(), F(&[8, 4, 3, 3])], [("kernel_shape", two(5, 5))], "kernel_shape differs");
    let w = || F(&[4, 3, 2, 2]);
    assert_eq!(shape("ConvTranspose", vec![x(), w()], [("strides", two(2, 2))]), [1, 3, 18, 20]);
    assert_eq!(
        shape(
            "ConvTranspose",
            vec![x(), w()],
            [("strides", two(2, 2)), ("pads", list(&[0, 1, 1, 0])), ("output_padding", two(1, 0))]
        ),
        [1, 3, 18, 19]
    );
    assert_eq!(shape("ConvTranspose", vec![x(), w()], [("output_shape", two(20, 21))]), [1, 3, 20, 21]);
}

#[test]
fn pools_drop_a_last_window_behind_the_image() {
    let x = || F(&[1, 4, 5, 5]);
    let k = |n| ("kernel_shape", list(&[n, n]));
    let s = ("strides", list(&[2, 2]));
    assert_eq!(shape("MaxPool", vec![x()], [k(2), s.clone()]), [1, 4, 2, 2]);
    assert_eq!(shape("MaxPool", vec![x()], [k(2), s.clone(), ("ceil_mode", Attr::Int(1))]), [1, 4, 3, 3]);
    let padded = ("pads", list(&[0, 0, 1, 1]));
    assert_eq!(shape("AveragePool", vec![x()], [k(1), s, padded, ("ceil_mode", Attr::Int(1))]), [1, 4, 3, 3]);
    assert_eq!(shape("GlobalAveragePool", vec![x()], []), [1, 4, 1, 1]);
    fails("MaxPool", vec![x()], [], "positive");
    assert_eq!(run("MaxPool", vec![x()], Attrs::of([k(2)]), 3).unwrap_err().code, "INFER04");
    let [_, (dtype, indices)] = &run("MaxPool", vec![x()], Attrs::of([k(2)]), 2).unwrap()[..] else { panic!() };
    assert_eq!((*dtype, &indices[..]), (ptq_ir::DType::I64, &[1, 4, 4, 4][..]));
}

#[test]
fn products() {
    assert_eq!(shape("Gemm", vec![F(&[2, 3]), F(&[5, 3]), F(&[5])], [("transB", Attr::Int(1))]), [2, 5]);
    fails("Gemm", vec![F(&[2, 3]), F(&[5, 3])], [], "do not fit");
    fails("Gemm", vec![F(&[2, 3]), F(&[3, 5]), F(&[4])], [], "does not broadcast");
    assert_eq!(shape("MatMul", vec![F(&[7, 1, 2, 3]), F(&[4, 3, 5])], []), [7, 4, 2, 5]);
    assert_eq!(shape("MatMul", vec![F(&[3]), F(&[4, 3, 5])], []), [4, 5]);
    assert_eq!(shape("MatMul", vec![F(&[3]), F(&[3])], []), [0usize; 0]);
    fails("MatMul", vec![F(&[2, 3]), F(&[2, 3])], [], "do not fit");
}

#[test]
fn element_wise() {
    assert_eq!(shape("Add", vec![F(&[2, 1, 4]), F(&[3, 1])], []), [2, 3, 4]);
    fails("Add", vec![F(&[2]), F(&[3])], [], "do not broadcast");
    fails("Add", vec![F(&[2]), T(DType::I64, &[2])], [], "expected float32");
    fails("Relu", vec![In::None], [], "input 0 is missing");
    fails("Sigmoid", vec![T(DType::I32, &[2])], [], "floating-point");
    assert_eq!(dtype("Less", vec![F(&[2]), F(&[1])], []), DType::Bool);
    assert_eq!(dtype("Where", vec![T(DType::Bool, &[2]), F(&[1]), F(&[2])], []), DType::F32);
    assert_eq!(dtype("Cast", vec![F(&[2])], [("to", Attr::Int(7))]), DType::I64);
    fails("Cast", vec![F(&[2])], [("to", Attr::Int(10))], "number 10");
    fails("PRelu", vec![F(&[2]), F(&[3, 2])], [], "does not broadcast to input");
    fails("Clip", vec![F(&[2]), F(&[2])], [], "bound");
    fails("Mod", vec![F(&[2]), F(&[2])], [], "fmod");
    assert_eq!(shape("Max", vec![F(&[2, 1]), F(&[3]), F(&[1])], []), [2, 3]);
    fails("Relu", vec![F(&[2])], [("alpha", Attr::Float(1.0))], "unknown attribute alpha");
}

#[test]
fn normalizations_and_softmax() {
    let p = || F(&[4]);
    assert_eq!(shape("BatchNormalization", vec![F(&[1, 4, 2]), p(), p(), p(), p()], []), [1, 4, 2]);
    fails("BatchNormalization", vec![F(&[1, 4, 2]), p(), p(), p(), F(&[3])], [], "does not fit 4 channels");
    fails("InstanceNormalization", vec![F(&[1, 4]), p(), p()], [], "rank 3");
    assert_eq!(shape("LayerNormalization", vec![F(&[2, 3, 4]), p(), p()], []), [2, 3, 4]);
    assert_eq!(shape("Softmax", vec![F(&[2, 3])], [("axis", Attr::Int(-2))]), [2, 3]);
    fails("Softmax", vec![F(&[2, 3])], [("axis", Attr::Int(2))], "outside rank 2");
}

#[test]
fn reductions() {
    let axes = |a: &[i64]| ("axes", list(a));
    assert_eq!(shape("ReduceMean", vec![F(&[2, 3, 4])], [axes(&[-1, 1])]), [2, 1, 1]);
    assert_eq!(shape("ReduceMax", vec![F(&[2, 3])], [("keepdims", Attr::Int(0))]), [0usize; 0]);
    assert_eq!(shape("ReduceSum", vec![F(&[2, 3]), ints(&[0])], [("keepdims", Attr::Int(0))]), [3]);
    assert_eq!(shape("ReduceSum", vec![F(&[2, 3])], [("noop_with_empty_axes", Attr::Int(1))]), [2, 3]);
    fails("ReduceSum", vec![F(&[2, 3]), T(DType::I64, &[1])], [], "must be constant");
    assert_eq!(dtype("ArgMax", vec![F(&[2, 3])], [("axis", Attr::Int(1))]), DType::I64);
    assert_eq!(shape("ArgMin", vec![F(&[2, 3])], [("keepdims", Attr::Int(0))]), [3]);
    let top = run("TopK", vec![F(&[2, 9]), ints(&[4])], Attrs::default(), 2).unwrap();
    assert_eq!(top, [(DType::F32, vec![2, 4]), (DType::I64, vec![2, 4])]);
    assert_eq!(shape("CumSum", vec![F(&[2, 3]), scalar(1)], []), [2, 3]);
}

#[test]
fn joins_and_cuts() {
    assert_eq!(shape("Concat", vec![F(&[1, 2, 3]), F(&[1, 5, 3])], [("axis", Attr::Int(-2))]), [1, 7, 3]);
    fails("Concat", vec![F(&[1, 2]), F(&[2, 2])], [("axis", Attr::Int(1))], "does not join");
    let axis = || Attrs::of([("axis", Attr::Int(1))]);
    let parts = run("Split", vec![F(&[1, 6]), ints(&[1, 5])], axis(), 2).unwrap();
    assert_eq!(parts, [(DType::F32, vec![1, 1]), (DType::F32, vec![1, 5])]);
    assert_eq!(run("Split", vec![F(&[1, 6])], axis(), 3).unwrap()[2].1, [1, 2]);
    assert!(run("Split", vec![F(&[1, 6])], axis(), 4).is_err());
    let cut = |s: i64, e: i64, step: i64| {
        shape("Slice", vec![F(&[10, 3]), ints(&[s]), ints(&[e]), ints(&[0]), ints(&[step])], [])[0]
    };
    assert_eq!([cut(2, 8, 1), cut(-3, i64::MAX, 1), cut(0, 10, 3), cut(8, 2, 1)], [6, 3, 4, 0]);
    assert_eq!([cut(9, i64::MIN, -1), cut(-1, 0, -2), cut(20, -20, -3)], [10, 5, 4]);
    fails("Slice", vec![F(&[10]), ints(&[0]), ints(&[1]), ints(&[0]), ints(&[0])], [], "zero");
    assert_eq!(shape("Gather", vec![F(&[5, 6]), scalar(0)], [("axis", Attr::Int(1))]), [5]);
    assert_eq!(shape("Gather", vec![F(&[5, 6]), ints(&[0, 1, 2])], []), [3, 6]);
}

#[test]
fn moves() {
    assert_eq!(shape("Reshape", vec![F(&[2, 3, 4]), ints(&[0, -1])], []), [2, 12]);
    fails("Reshape", vec![F(&[2, 3]), ints(&[4, -1])], [], "does not fill");
    fails("Reshape", vec![F(&[2, 3]), ints(&[-1, -1])], [], "negative");
    assert_eq!(shape("Flatten", vec![F(&[2, 3, 4])], [("axis", Attr::Int(-1))]), [6, 4]);
    assert_eq!(shape("Flatten", vec![F(&[2, 3])], [("axis", Attr::Int(2))]), [6, 1]);
    assert_eq!(shape("Squeeze", vec![F(&[1, 3, 1])], []), [3]);
    fails("Squeeze", vec![F(&[1, 3]), ints(&[1])], [], "is not 1");
    assert_eq!(shape("Unsqueeze", vec![F(&[3, 4]), ints(&[0, -1])], []), [1, 3, 4, 1]);
    fails("Unsqueeze", vec![F(&[3]), ints(&[0, 0])], [], "given twice");
    assert_eq!(shape("Transpose", vec![F(&[2, 3, 4])], [("perm", list(&[2, 0, 1]))]), [4, 2, 3]);
    assert_eq!(shape("Transpose", vec![F(&[2, 3])], []), [3, 2]);
    assert_eq!(shape("Pad", vec![F(&[2, 3]), ints(&[0, 1, 1, -1])], []), [3, 3]);
    fails("Pad", vec![F(&[2, 3]), ints(&[0, 3, 0, 0])], [("mode", word("reflect"))], "reflecting");
    assert_eq!(shape("Expand", vec![F(&[3, 1]), ints(&[2, 1, 4])], []), [2, 3, 4]);
    assert_eq!(shape("Tile", vec![F(&[2, 3]), ints(&[2, 3])], []), [4, 9]);
    assert_eq!(shape("DepthToSpace", vec![F(&[1, 8, 2, 3])], [("blocksize", Attr::Int(2))]), [1, 2, 4, 6]);
    assert_eq!(shape("SpaceToDepth", vec![F(&[1, 2, 4, 6])], [("blocksize", Attr::Int(2))]), [1, 8, 2, 3]);
}

#[test]
fn resize_by_scales_or_sizes() {
    let scales = |v: &[f32]| C(Tensor::from_f32([v.len()], v.to_vec()).unwrap());
    let x = || F(&[1, 2, 3, 5]);
    assert_eq!(shape("Resize", vec![x(), In::None, scales(&[1.0, 1.0, 2.0, 1.5])], []), [1, 2, 6, 7]);
    assert_eq!(shape("Resize", vec![x(), In::None, In::None, ints(&[1, 2, 7, 8])], []), [1, 2, 7, 8]);
    fails("Resize", vec![x()], [], "exactly one of scales and sizes");
    fails("Resize", vec![x(), In::None, scales(&[1.0, 1.0, 0.0, 1.0])], [], "must be positive");
}

#[test]
fn shapes_as_data() {
    assert_eq!(
        run("Shape", vec![F(&[2, 3, 4])], Attrs::of([("start", Attr::Int(-2))]), 1).unwrap(),
        [(DType::I64, vec![2])]
    );
    assert_eq!(shape("Size", vec![F(&[2])], []), [0usize; 0]);
    assert_eq!(shape("ConstantOfShape", vec![ints(&[2, 3])], []), [2, 3]);
    assert_eq!(shape("Range", vec![scalar(2), scalar(9), scalar(3)], []), [3]);
    fails("Range", vec![scalar(0), scalar(1), scalar(0)], [], "no range");
    fails("ConstantOfShape", vec![ints(&[i64::MAX, i64::MAX])], [], "too large");
}

#[test]
fn unknown_operators_are_refused() {
    let error = run("Frobnicate", vec![F(&[1])], Attrs::default(), 1).unwrap_err();
    assert_eq!(error.code, "INFER02");
    assert!(is_known_op("Upsample") && !is_known_op("Frobnicate") && known_ops().contains(&"Conv"));
}

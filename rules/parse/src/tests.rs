//! The stage on files made by hand: shapes, folding, order, preprocessing, refusals.
#![allow(clippy::unwrap_used)]

use crate::rule::{ParseParams, ParseRule, parse};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use ptq_ir::{Attr, DType, Diagnostic, Graph, InputSpec, InputType, Layout, Severity};
use ptq_onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};
use ptq_rule::{Blobs, BuildRule as _, Context, Memo, Silent, Step, read_graph};

fn node(op: &str, name: &str, inputs: &[&str], outputs: &[&str], attrs: &[(&str, &[i64])]) -> NodeProto {
    let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let attr = |(name, values): &(&str, &[i64])| match (*name, values) {
        ("axis" | "group" | "to", [v]) => AttributeProto {
            name: Some((*name).to_owned()),
            r#type: Some(attribute_type::INT),
            i: Some(*v),
            ..AttributeProto::default()
        },
        _ => AttributeProto {
            name: Some((*name).to_owned()),
            r#type: Some(attribute_type::INTS),
            ints: values.to_vec(),
            ..AttributeProto::default()
        },
    };
    NodeProto {
        input: list(inputs),
        output: list(outputs),
        name: Some(name.to_owned()),
        op_type: Some(op.to_owned()),
        attribute: attrs.iter().map(attr).collect(),
        ..NodeProto::default()
    }
}

/// A float32 value; negative extents are open.
fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = |&n: &i64| DimensionProto { dim_value: Some(n), ..DimensionProto::default() };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor_type = TensorTypeProto { elem_type: Some(1), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }),
        doc_string: None,
    }
}

fn ints(name: &str, data: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: vec![data.len() as i64],
        data_type: Some(7),
        int64_data: data.to_vec(),
        ..TensorProto::default()
    }
}

fn floats(name: &str, dims: &[i64]) -> TensorProto {
    let n = dims.iter().product::<i64>();
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(1),
        float_data: (0..n).map(|i| i as f32 * 0.25 - 1.0).collect(),
        ..TensorProto::default()
    }
}

/// A model from `x` to `y`.
fn model(input: &[i64], nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let graph = GraphProto {
        node: nodes,
        name: Some("anything".to_owned()),
        initializer,
        input: vec![value("x", input)],
        output: vec![value("y", &[])],
        ..GraphProto::default()
    };
    ModelProto {
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(13) }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn with(spec: InputSpec) -> ParseParams {
    ParseParams { inputs: [("x".to_owned(), spec)].into(), ..ParseParams::default() }
}

fn run(model: &ModelProto, params: &ParseParams) -> Result<(Graph, Vec<Diagnostic>), Vec<Diagnostic>> {
    parse(&model.encode_to_vec().into(), &|_| None, params).map(|(graph, notes, _)| (graph, notes))
}

fn graph(model: &ModelProto, params: &ParseParams) -> Graph {
    let (graph, _) = run(model, params).unwrap_or_else(|p| panic!("{p:#?}"));
    assert_eq!(graph.verify(), []);
    graph
}

fn error(model: &ModelProto, params: &ParseParams) -> Diagnostic {
    let mut problems = run(model, params).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

fn ops(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|n| n.op.as_str()).collect()
}

/// `pads = concat(0, 0, h/2, w/2, 0, 0, 1, 1)` computed from the shape of `x`, then Pad, then a Reshape whose
/// target is computed too: what exporters write for "same" padding.
fn dynamic_padding() -> ModelProto {
    let nodes = vec![
        node("Shape", "shape", &["x"], &["s"], &[]),
        node("Gather", "hw", &["s", "two_three"], &["hw"], &[("axis", &[0])]),
        node("Div", "half", &["hw", "two"], &["half"], &[]),
        node("Concat", "pads", &["zeros", "half", "zeros", "ones"], &["pads"], &[("axis", &[0])]),
        node("Pad", "pad", &["x", "pads"], &["p"], &[]),
        node("Slice", "batch", &["s", "zero", "one"], &["n"], &[]),
        node("Concat", "target", &["n", "rest"], &["target"], &[("axis", &[0])]),
        node("Reshape", "reshape", &["p", "target"], &["y"], &[]),
    ];
    let constants = vec![
        ints("two_three", &[2, 3]),
        ints("two", &[2]),
        ints("zeros", &[0, 0]),
        ints("ones", &[1, 1]),
        ints("zero", &[0]),
        ints("one", &[1]),
        ints("rest", &[-1]),
    ];
    model(&[-1, 2, 6, 4], nodes, constants)
}

#[test]
fn shape_arithmetic_becomes_constants_and_vanishes() {
    let (graph, notes) = run(&dynamic_padding(), &ParseParams::default()).unwrap();
    assert_eq!(ops(&graph), ["Pad", "Reshape"]);
    assert_eq!(graph.const_input(&graph.nodes[0], 1).unwrap().to_i64s().unwrap(), [0, 0, 3, 2, 0, 0, 1, 1]);
    assert_eq!(graph.value(graph.outputs[0]).shape, [1, 2 * 10 * 7]);
    assert_eq!(graph.constants.len(), 2);
    assert_eq!((notes.len(), notes[0].severity, notes[0].code.as_str()), (1, Severity::Note, "PARSE09"));
    let eight = with(InputSpec { shape: Some(vec![8, 2, 6, 4]), ..InputSpec::default() });
    assert_eq!(run(&dynamic_padding(), &eight).unwrap().1, []);
    assert_eq!(self::graph(&dynamic_padding(), &eight).value(graph.outputs[0]).shape, [8, 140]);
}

#[test]
fn metadata_and_unsorted_nodes_do_not_change_the_bytes() {
    let blobs = |m: &ModelProto| {
        let inputs: Blobs = [("model".to_owned(), Bytes::from(m.encode_to_vec()))].into();
        let ctx = Context {
            inputs: &inputs,
            params: r#"{"inputs":{}}"#,
            progress: &Silent,
            threads: 1,
            memo: &Memo::default(),
        };
        match ParseRule.step(&ctx, &[]).unwrap() {
            Step::Done(out) => out,
            Step::Need(_) => panic!("parse needs nothing"),
        }
    };
    let plain = blobs(&dynamic_padding());
    assert_eq!(read_graph(&plain).unwrap().name, "model");
    assert!(plain.contains_key("warnings.json"));
    let mut noisy = dynamic_padding();
    (noisy.producer_name, noisy.doc_string) = (Some("another".to_owned()), Some("text".to_owned()));
    let g = noisy.graph.as_mut().unwrap();
    g.name = Some("other".to_owned());
    g.value_info = vec![value("p", &[1, 2, 10, 7])];
    g.initializer.reverse();
    g.node.reverse();
    g.node.push(node("Relu", "dead", &["x"], &["nobody"], &[]));
    assert_eq!(blobs(&noisy), plain);
}

#[test]
fn cycles_and_broken_shapes_name_the_node() {
    let nodes = vec![
        node("Add", "first", &["x", "b"], &["a"], &[]),
        node("Relu", "second", &["a"], &["b"], &[]),
        node("Relu", "last", &["b"], &["y"], &[]),
    ];
    let cycle = error(&model(&[1, 2], nodes, vec![]), &ParseParams::default());
    assert_eq!((cycle.code.as_str(), cycle.place.node.as_deref()), ("PARSE04", Some("first")));
    let nodes = vec![node("MatMul", "m", &["x", "w"], &["a"], &[]), node("Relu", "behind", &["a"], &["y"], &[])];
    let misfit = error(&model(&[1, 2], nodes, vec![floats("w", &[3, 3])]), &ParseParams::default());
    assert_eq!((misfit.code.as_str(), misfit.place.node.as_deref()), ("INFER01", Some("m")));
}

#[test]
fn open_shapes_say_which_key_to_set() {
    let open = model(&[-1, 3, -1, 8], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let problem = error(&open, &ParseParams::default());
    assert_eq!((problem.code.as_str(), problem.place.value.as_deref()), ("PARSE02", Some("x")));
    assert!(problem.hint.unwrap().contains("shape = [1, 3, …, 8]"));
    let shaped = |shape: &[i64]| with(InputSpec { shape: Some(shape.to_vec()), ..InputSpec::default() });
    assert_eq!(graph(&open, &shaped(&[2, 3, 5, 8])).value(ptq_ir::ValueId(0)).shape, [2, 3, 5, 8]);
    for shape in [&[2, 4, 5, 8][..], &[2, 3, 5], &[2, 3, -1, 8], &[2, 3, 0, 8]] {
        assert_eq!(error(&open, &shaped(shape)).code, "PARSE03", "{shape:?}");
    }
    let other = ParseParams { inputs: [("z".to_owned(), InputSpec::default())].into(), ..ParseParams::default() };
    let closed = model(&[1, 3], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let unknown = error(&closed, &other);
    assert!(unknown.code == "PARSE01" && unknown.hint.unwrap().contains("are x"));
}

#[test]
fn large_constants_are_refused() {
    let nodes =
        vec![node("ConstantOfShape", "fill", &["dims"], &["c"], &[]), node("Add", "add", &["x", "c"], &["y"], &[])];
    let problem = error(&model(&[1], nodes, vec![ints("dims", &[1 << 20, 1 << 10])]), &ParseParams::default());
    assert_eq!((problem.code.as_str(), problem.place.node.as_deref()), ("PARSE06", Some("fill")));
}

#[test]
fn float64_stays_exact_when_folded_and_runs_as_float32() {
    let folded = vec![
        node("Cast", "wide", &["w"], &["d"], &[("to", &[11])]),
        node("Cast", "back", &["d"], &["f"], &[("to", &[1])]),
        node("Add", "add", &["x", "f"], &["y"], &[]),
    ];
    let file = model(&[1, 2], folded, vec![floats("w", &[2])]);
    assert_eq!(ops(&graph(&file, &ParseParams::default())), ["Add"]);
    let run = vec![
        node("Cast", "wide", &["x"], &["d"], &[("to", &[11])]),
        node("Cast", "b", &["d"], &["y"], &[("to", &[1])]),
    ];
    let (graph, notes) = self::run(&model(&[1, 2], run, vec![]), &ParseParams::default()).unwrap();
    assert!(graph.values.iter().all(|v| v.dtype == DType::F32));
    let [note] = &notes[..] else { panic!("{notes:#?}") };
    assert_eq!((note.code.as_str(), note.severity), ("PARSE08", Severity::Note));
    assert!(note.message.contains("node wide"), "{note}");
}

fn image(layout: Layout, mean: &[f32], scale: &[f32]) -> ParseParams {
    with(InputSpec {
        type_train: InputType::Rgb,
        layout_train: layout,
        mean: mean.to_vec(),
        scale: scale.to_vec(),
        ..InputSpec::default()
    })
}

#[test]
fn normalization_of_nchw_images_is_a_depthwise_convolution() {
    let file = model(&[1, 3, 2, 2], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let graph = graph(&file, &image(Layout::Nchw, &[10.0, 20.0, 30.0], &[0.5]));
    let pre = &graph.nodes[0];
    assert_eq!((pre.name.as_str(), pre.op.as_str(), pre.attrs.int("group", 0)), ("x_preprocess", "Conv", 3));
    let weight = graph.const_input(pre, 1).unwrap();
    assert_eq!((weight.shape(), weight.f32s().unwrap()), (&[3, 1, 1, 1][..], &[0.5; 3][..]));
    assert_eq!(graph.const_input(pre, 2).unwrap().f32s().unwrap(), [-5.0, -10.0, -15.0]);
    assert_eq!(graph.nodes[1].inputs, [Some(pre.outputs[0])]);
    assert_eq!(graph.value(graph.inputs[0]).name, "x");
    assert_eq!(ptq_onnx::infer(&graph, pre).unwrap(), [(DType::F32, vec![1, 3, 2, 2])]);
}

#[test]
fn other_layouts_are_normalized_element_by_element() {
    let file = model(&[1, 2, 2, 3], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let nhwc = graph(&file, &image(Layout::Nhwc, &[1.0, 2.0, 3.0], &[]));
    assert_eq!(ops(&nhwc), ["Sub", "Mul", "Relu"]);
    assert_eq!(nhwc.nodes[1].name, "x_preprocess");
    assert_eq!(nhwc.const_input(&nhwc.nodes[0], 1).unwrap().f32s().unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(nhwc.const_input(&nhwc.nodes[1], 1).unwrap().f32s().unwrap(), [1.0; 3]);
    let features = model(&[1, 4, 7], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let scaled = graph(&features, &with(InputSpec { scale: vec![1.0, 2.0, 3.0, 4.0], ..InputSpec::default() }));
    assert_eq!(scaled.const_input(&scaled.nodes[1], 1).unwrap().shape(), [4, 1]);
}

fn run_time(type_rt: InputType, layout_train: Layout) -> ParseParams {
    let spec = InputSpec { type_train: InputType::Rgb, type_rt: Some(type_rt), layout_train, ..InputSpec::default() };
    with(InputSpec { mean: vec![28.0], scale: vec![0.5], ..spec })
}

#[test]
fn what_arrives_is_converted_shifted_and_normalized_in_one_convolution() {
    let nchw = model(&[1, 3, 2, 2], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let graph = self::graph(&nchw, &run_time(InputType::Nv12, Layout::Nchw));
    assert_eq!(ops(&graph), ["Conv", "Relu"]);
    let weight = graph.const_input(&graph.nodes[0], 1).unwrap();
    assert_eq!((weight.shape(), &weight.f32s().unwrap()[..3]), (&[3, 3, 1, 1][..], &[0.5, 0.0, 0.701][..]));
    assert_eq!(graph.const_input(&graph.nodes[0], 2).unwrap().f32s().unwrap(), [50.0; 3]);
    let nhwc = model(&[1, 2, 2, 3], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let graph = self::graph(&nhwc, &run_time(InputType::Bgr, Layout::Nhwc));
    assert_eq!(ops(&graph), ["Transpose", "Conv", "Transpose", "Relu"]);
    let weight = graph.const_input(&graph.nodes[1], 1).unwrap();
    assert_eq!(weight.f32s().unwrap(), [0.0, 0.0, 0.5, 0.0, 0.5, 0.0, 0.5, 0.0, 0.0]);
    let same = self::graph(&nhwc, &run_time(InputType::Rgb, Layout::Nhwc));
    assert_eq!(same.const_input(&same.nodes[0], 1).unwrap().f32s().unwrap(), [-100.0; 3]);
}

#[test]
fn descriptions_that_do_not_fit_are_refused() {
    let nchw = model(&[1, 3, 2, 2], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let odd = model(&[1, 3, 3, 2], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    let flat = model(&[1, 3], vec![node("Relu", "r", &["x"], &["y"], &[])], vec![]);
    for (file, params, why) in [
        (&nchw, image(Layout::Nhwc, &[], &[]), "is not an image of 3 channels in NHWC"),
        (&flat, image(Layout::Nchw, &[], &[]), "is not an image"),
        (&nchw, image(Layout::Nchw, &[1.0, 2.0], &[]), "mean has 2 entries"),
        (&nchw, image(Layout::Nchw, &[], &[f32::NAN]), "must be finite"),
        (&nchw, with(InputSpec { type_train: InputType::Nv12, ..InputSpec::default() }), "nv12"),
        (
            &odd,
            run_time(InputType::Nv12, Layout::Nchw),
            "needs an even height and width, this input is 3 high and 2 wide",
        ),
    ] {
        let problem = error(file, &params);
        assert!(problem.code == "PARSE07" && problem.message.contains(why), "{problem}");
    }
}

#[test]
fn old_softmax_is_restored_and_old_attributes_are_converted() {
    let nodes = vec![
        node("Unsqueeze", "u", &["x"], &["a"], &[("axes", &[0])]),
        node("Softmax", "soft", &["a"], &["y"], &[("axis", &[1])]),
    ];
    let mut file = model(&[3, 4], nodes, vec![]);
    file.opset_import[0].version = Some(11);
    let graph = graph(&file, &ParseParams::default());
    assert_eq!(ops(&graph), ["Unsqueeze", "Flatten", "Softmax", "Reshape"]);
    assert_eq!(graph.nodes[2].attrs.get("axis"), Some(&Attr::Int(1)));
    assert_eq!(graph.value(graph.outputs[0]).shape, [1, 3, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn damaged_files_never_panic(
        flips in proptest::collection::vec((0usize..4000, 0u8..8), 1..4),
        padding in any::<bool>(),
    ) {
        let soft = vec![
            node("Conv", "c", &["x", "w"], &["a"], &[("pads", &[1, 1, 1, 1])]),
            node("MaxPool", "p", &["a"], &["b"], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])]),
            node("Slice", "s", &["b", "i", "j"], &["d"], &[]),
            node("Softmax", "soft", &["d"], &["y"], &[("axis", &[1])]),
        ];
        let constants = vec![floats("w", &[2, 2, 3, 3]), ints("i", &[0, 0]), ints("j", &[1, 1])];
        let file = if padding { dynamic_padding() } else { model(&[1, 2, 6, 4], soft, constants) };
        let mut bytes = file.encode_to_vec();
        for (at, bit) in flips {
            let n = bytes.len();
            bytes[at % n] ^= 1 << bit;
        }
        match parse(&bytes.into(), &|_| None, &ParseParams::default()) {
            Ok((graph, ..)) => prop_assert_eq!(graph.verify(), []),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}

#[test]
fn every_claimed_operator_is_computed_and_every_computed_one_is_claimed() {
    let missing: Vec<&str> = ptq_onnx::known_ops().into_iter().filter(|op| !ptq_exec::is_supported(op, "")).collect();
    assert_eq!(missing, Vec::<&str>::new(), "inferred, but not computed");
    let unclaimed: Vec<&str> = ptq_exec::supported_ops().into_iter().filter(|op| !ptq_onnx::is_known_op(op)).collect();
    assert_eq!(unclaimed, Vec::<&str>::new(), "computed, but not inferred");
}

mod corpus;

/// `y = Loop(trips, x)` with this condition of each next step.
fn looped(trips: i64, next: Vec<NodeProto>, input: &[i64]) -> ModelProto {
    let named = |name: &str| ValueInfoProto { name: Some(name.to_owned()), ..ValueInfoProto::default() };
    let mut nodes = vec![node("Add", "step", &["v", "v"], &["w"], &[])];
    nodes.extend(next);
    let body = GraphProto {
        node: nodes,
        input: vec![named("i"), named("go"), named("v")],
        output: vec![named("more"), named("w")],
        ..GraphProto::default()
    };
    let mut outer = node("Loop", "loop", &["trips", "", "x"], &["y"], &[]);
    outer.attribute.push(AttributeProto {
        name: Some("body".to_owned()),
        r#type: Some(attribute_type::GRAPH),
        g: Some(body),
        ..AttributeProto::default()
    });
    let trips = TensorProto { dims: Vec::new(), ..ints("trips", &[trips]) };
    model(input, vec![outer], vec![trips])
}

#[test]
fn loops_are_unrolled_or_refused_with_the_reason() {
    let same = vec![node("Identity", "keep", &["go"], &["more"], &[])];
    let unrolled = graph(&looped(3, same.clone(), &[1, 2]), &ParseParams::default());
    assert_eq!(ops(&unrolled).iter().filter(|op| **op == "Add").count(), 3);
    let endless = error(&looped(i64::MAX, same, &[1, 2]), &ParseParams::default());
    assert!(endless.code == "PARSE10" && endless.message.contains("more than"), "{endless}");
    let data = vec![node("Cast", "test", &["w"], &["more"], &[("to", &[9])])];
    let dependent = error(&looped(3, data, &[1]), &ParseParams::default());
    assert_eq!((dependent.code.as_str(), dependent.place.node.as_deref()), ("PARSE10", Some("loop")));
    assert!(dependent.message.contains("data-dependent"), "{dependent}");
}

#[test]
fn folding_stops_at_the_budget_before_it_allocates() {
    let nodes =
        vec![node("ConstantOfShape", "fill", &["dims"], &["c"], &[]), node("Add", "add", &["x", "c"], &["y"], &[])];
    let file = model(&[1], nodes, vec![ints("dims", &[575 << 18])]);
    let params = ParseParams { memory_budget: Some(512 << 20), ..ParseParams::default() };
    let problem = error(&file, &params);
    assert_eq!((problem.code.as_str(), problem.place.node.as_deref()), ("PARSE06", Some("fill")));
    assert!(problem.message.contains("602931200 bytes"), "{problem}");
}

//! Import of files made by hand, and of damaged ones.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::proto::{AttributeProto, StringStringEntryProto, attribute_type};
use crate::testing::{bytes, floats, graph, int, model, node, value};
use proptest::prelude::*;
use ptq_ir::Attr;

fn none(_: &str) -> Option<Bytes> {
    None
}

fn load(model: &ModelProto) -> Result<RawModel, Vec<Diagnostic>> {
    import(&bytes(model), &none, &Limits::default())
}

fn codes(model: &ModelProto) -> Vec<String> {
    load(model).unwrap_err().iter().map(ToString::to_string).collect()
}

fn tensor_attr(name: &str, t: TensorProto) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(attribute_type::TENSOR),
        t: Some(t),
        ..AttributeProto::default()
    }
}

#[test]
fn typed_fields_and_raw_bytes_give_equal_tensors() {
    let make = |data_type: i32, dims: Vec<i64>| TensorProto {
        data_type: Some(data_type),
        dims,
        name: Some("t".to_owned()),
        ..TensorProto::default()
    };
    let cases = [
        (TensorProto { float_data: vec![1.5, -2.0], ..make(1, vec![2]) }, Tensor::from_f32([2], vec![1.5, -2.0])),
        (TensorProto { double_data: vec![0.1], ..make(11, vec![1]) }, Tensor::from_f64([1], vec![0.1])),
        (TensorProto { int64_data: vec![-7], ..make(7, vec![]) }, Tensor::from_i64(vec![], vec![-7])),
        (TensorProto { int32_data: vec![-7], ..make(6, vec![1]) }, Tensor::from_i32([1], vec![-7])),
        (TensorProto { int32_data: vec![-7], ..make(5, vec![1]) }, Tensor::from_i16([1], vec![-7])),
        (TensorProto { int32_data: vec![-7], ..make(3, vec![1]) }, Tensor::from_i8([1], vec![-7])),
        (TensorProto { int32_data: vec![200], ..make(2, vec![1]) }, Tensor::from_u8([1], vec![200])),
        (TensorProto { int32_data: vec![0, 1], ..make(9, vec![2]) }, Tensor::from_bool([2], vec![false, true])),
    ];
    for (typed, expected) in cases {
        let expected = expected.unwrap();
        let raw = TensorProto {
            data_type: typed.data_type,
            dims: typed.dims.clone(),
            raw_data: Some(expected.to_le_bytes().into()),
            ..TensorProto::default()
        };
        for proto in [typed, raw] {
            assert_eq!(tensor::tensor(&proto, &none, &Meter::new(1 << 20)).unwrap(), expected);
        }
    }
}

#[test]
fn data_that_does_not_fill_its_shape_is_refused() {
    let short = floats("w", &[3], &[1.0, 2.0]);
    let negative = floats("w", &[-3], &[]);
    let huge = floats("w", &[i64::MAX, i64::MAX], &[]);
    for t in [short, negative, huge] {
        let problems = codes(&model(17, graph(vec![node("Add", "a", &["x", "w"], &["y"], &[])], vec![t])));
        assert!(
            problems.len() == 1 && problems[0].contains("ONNX07") && problems[0].contains("value w"),
            "{problems:?}"
        );
    }
}

#[test]
fn half_precision_becomes_float32_with_a_note() {
    let bits = |data_type, bits: &[u16]| TensorProto {
        data_type: Some(data_type),
        float_data: Vec::new(),
        raw_data: Some(bits.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<u8>>().into()),
        ..floats("w", &[2], &[])
    };
    for (number, stored, name) in [(10, [0x3c00, 0xc000], "float16"), (16, [0x3f80, 0xc000], "bfloat16")] {
        let nodes =
            vec![node("Cast", "c", &["x"], &["z"], &[int("to", number)]), node("Add", "a", &["z", "w"], &["y"], &[])];
        let raw = load(&model(17, graph(nodes, vec![bits(number as i32, &stored)]))).unwrap();
        assert_eq!(raw.constants["w"], Tensor::from_f32([2], vec![1.0, -2.0]).unwrap());
        assert_eq!(raw.nodes[0].attrs.int("to", 0), 1);
        let [note] = &raw.notes[..] else { panic!("{:?}", raw.notes) };
        assert_eq!(note.message, format!("{name} is computed in float32: no input, 1 constants, 1 casts"));
    }
}

fn external(location: &str, offset: &str, length: &str) -> TensorProto {
    let entry = |k: &str, v: &str| StringStringEntryProto { key: Some(k.to_owned()), value: Some(v.to_owned()) };
    TensorProto {
        external_data: vec![entry("location", location), entry("offset", offset), entry("length", length)],
        data_location: Some(crate::proto::DATA_LOCATION_EXTERNAL),
        ..floats("w", &[2], &[])
    }
}

#[test]
fn external_data_is_read_within_bounds_and_folder() {
    let file = Bytes::from([vec![9; 4], 1.0f32.to_le_bytes().to_vec(), 2.0f32.to_le_bytes().to_vec()].concat());
    let read = |path: &str| (path == "sub/w.bin").then(|| file.clone());
    let get = |l: &str, o: &str, n: &str| tensor::tensor(&external(l, o, n), &read, &Meter::new(1 << 20));
    assert_eq!(get("./sub/w.bin", "4", "8").unwrap().f32s().unwrap(), [1.0, 2.0]);
    for (location, offset, length, why) in [
        ("../w.bin", "4", "8", "leads out"),
        ("/w.bin", "4", "8", "leads out"),
        ("C:/w.bin", "4", "8", "not relative"),
        ("other.bin", "4", "8", "is missing"),
        ("sub/w.bin", "5", "8", "is outside"),
        ("sub/w.bin", "18446744073709551615", "8", "is outside"),
        ("sub/w.bin", "4", "7", "the shape needs 8"),
        ("sub/w.bin", "-4", "8", "is no number"),
    ] {
        let error = get(location, offset, length).unwrap_err();
        assert!(error.contains(why), "{location} {offset} {length}: {error}");
    }
    let m = model(17, graph(vec![node("Add", "a", &["x", "w"], &["y"], &[])], vec![external("a/b", "0", "8")]));
    assert_eq!(external_files(&bytes(&m), &Limits::default()).unwrap(), ["a/b"]);
}

#[test]
fn constant_nodes_become_constants() {
    let mut value_floats = int("value_floats", 0);
    (value_floats.r#type, value_floats.floats) = (Some(attribute_type::FLOATS), vec![1.0, 2.0]);
    let nodes = vec![
        node("Constant", "", &[], &["a"], &[tensor_attr("value", floats("", &[1], &[3.0]))]),
        node("Constant", "", &[], &["b"], &[int("value_int", 4)]),
        node("Constant", "", &[], &["c"], &[value_floats]),
        node("Sum", "", &["x", "a", "", "c"], &["y"], &[]),
    ];
    let raw = load(&model(17, graph(nodes, vec![]))).unwrap();
    assert_eq!(raw.nodes.len(), 1);
    assert_eq!(raw.nodes[0].name, "Sum_0");
    assert_eq!(raw.nodes[0].inputs[2], None);
    assert_eq!(raw.constants["a"].f32s().unwrap(), [3.0]);
    assert_eq!(raw.constants["b"], Tensor::from_i64(vec![], vec![4]).unwrap());
    assert_eq!(raw.constants["c"].f32s().unwrap(), [1.0, 2.0]);
}

#[test]
fn all_problems_are_reported_together() {
    let mut body = int("body", 0);
    (body.r#type, body.g, body.i) = (Some(attribute_type::GRAPH), Some(GraphProto::default()), None);
    let nodes = vec![
        node("Frobnicate", "f1", &["x"], &["a"], &[]),
        node("Frobnicate", "f2", &["a"], &["b"], &[]),
        node("Relu", "g", &["b"], &["c"], &[body]),
        node("Relu", "r", &["nowhere"], &["y"], &[]),
        node("Relu", "r", &["x"], &["y"], &[]),
    ];
    let problems = codes(&model(99, graph(nodes, vec![])));
    for expected in [
        "ONNX04]: operator set 99",
        "ONNX05]: node f1: operator Frobnicate is not supported (2 nodes)",
        "ONNX07]: node g: attribute body: only If, Loop and Scan may have sub-graphs",
        "ONNX03]: node r: reads nowhere, which nothing makes",
        "ONNX03]: node r_2: y is made twice",
    ] {
        assert!(problems.iter().any(|p| p.contains(expected)), "{expected} is not in {problems:#?}");
    }
    assert_eq!(problems.len(), 5, "{problems:#?}");
}

#[test]
fn a_quantized_model_gives_one_error() {
    let nodes = vec![
        node("QuantizeLinear", "q", &["x", "s"], &["a"], &[]),
        node("DequantizeLinear", "d", &["a", "s"], &["y"], &[]),
    ];
    let problems = codes(&model(17, graph(nodes, vec![floats("s", &[], &[1.0])])));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("already quantized (2 nodes such as QuantizeLinear)"), "{problems:?}");
}

#[test]
fn inputs_with_an_initializer_are_constants_and_shapes_may_be_open() {
    let mut g = graph(vec![node("Add", "a", &["x", "w"], &["y"], &[])], vec![floats("w", &[1], &[1.0])]);
    g.input = vec![value("w", &[1]), value("x", &[-1, 3])];
    let raw = load(&model(9, g)).unwrap();
    assert_eq!(raw.inputs.len(), 1);
    assert_eq!(raw.inputs[0].dims, Some(vec![RawDim::Open(None), RawDim::Fixed(3)]));
}

#[test]
fn unread_optional_outputs_go_but_split_keeps_all() {
    let nodes = vec![
        node("Dropout", "d", &["x"], &["a", "mask"], &[]),
        node("Split", "s", &["a"], &["y", "unused"], &[int("axis", 1)]),
    ];
    let raw = load(&model(12, graph(nodes, vec![]))).unwrap();
    assert_eq!(raw.nodes[0].outputs, ["a"]);
    assert_eq!(raw.nodes[1].outputs, ["y", "unused"]);
    assert_eq!(raw.nodes[1].attrs.get("axis"), Some(&Attr::Int(1)));
}

#[test]
fn no_graph_no_model() {
    assert!(codes(&ModelProto::default()).iter().any(|p| p.contains("holds no graph")));
    let html = import(&Bytes::from_static(b"<html><body>404</body></html>"), &none, &Limits::default()).unwrap_err();
    assert_eq!(html[0].code, "ONNX01");
}

/// A small model with every kind of field.
fn sample() -> Vec<u8> {
    let nodes = vec![
        node("Constant", "", &[], &["k"], &[tensor_attr("value", floats("", &[2], &[1.0, 2.0]))]),
        node("Conv", "c", &["x", "w"], &["a"], &[int("group", 1)]),
        node("Split", "", &["a"], &["b", "z"], &[int("axis", 1)]),
        node("Concat", "", &["b", "z", "a"], &["y"], &[int("axis", 1)]),
    ];
    let mut raw = floats("w", &[2, 2, 1, 1], &[]);
    raw.raw_data = Some(Bytes::from(vec![7; 16]));
    let mut g = graph(nodes, vec![raw, external("w.bin", "0", "8")]);
    g.initializer[1].name = Some("e".to_owned());
    bytes(&model(13, g)).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn damaged_files_never_panic(
        cut in 0usize..2000,
        flips in proptest::collection::vec((0usize..2000, 0u8..8), 0..6),
        extra in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut file = sample();
        file.truncate(cut.max(1));
        for (at, bit) in flips {
            let n = file.len();
            file[at % n] ^= 1 << bit;
        }
        file.extend(extra);
        let read = |_: &str| Some(Bytes::from_static(&[0; 16]));
        match import(&Bytes::from(file), &read, &Limits::default()) {
            Ok(raw) => prop_assert!(raw.nodes.iter().all(|n| !n.name.is_empty())),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}

//! Exported files: structure, names, order, and that they read back.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::proto::{GraphProto, ModelProto, NodeProto};
use crate::{Limits, import};
use prost::Message as _;
use ptq_ir::{ActivationQuant, Attr, Attrs, DType, Graph, GraphBuilder, QuantParams, QuantTable, Tensor, ValueId};
use std::collections::BTreeSet;

mod integer;

fn decode(bytes: &[u8]) -> GraphProto {
    let model = ModelProto::decode(bytes).unwrap();
    assert_eq!((model.ir_version, model.producer_name.as_deref()), (Some(8), Some("ptq")));
    assert_eq!(model.opset_import[0].version, Some(17));
    model.graph.unwrap()
}

fn find<'a>(graph: &'a GraphProto, name: &str) -> &'a NodeProto {
    graph.node.iter().find(|n| n.name.as_deref() == Some(name)).unwrap_or_else(|| panic!("no node {name}"))
}

/// Names are unique, nodes are sorted, everything read is made.
fn check(graph: &GraphProto) {
    let mut made: BTreeSet<&str> = graph.input.iter().filter_map(|i| i.name.as_deref()).collect();
    for t in &graph.initializer {
        assert!(made.insert(t.name.as_deref().unwrap()), "{:?} twice", t.name);
    }
    let mut names = BTreeSet::new();
    for node in &graph.node {
        assert!(names.insert(node.name.clone().unwrap()), "{:?} twice", node.name);
        for input in node.input.iter().filter(|i| !i.is_empty()) {
            assert!(made.contains(input.as_str()), "{:?} reads {input}", node.name);
        }
        for output in &node.output {
            assert!(made.insert(output), "{output} twice");
        }
    }
    assert!(graph.output.iter().all(|o| made.contains(o.name.as_deref().unwrap())));
}

fn floats(shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    Tensor::from_f32(shape, (0..n).map(|i| (i as f32 * 0.7).sin()).collect()).unwrap()
}

fn network() -> Graph {
    let mut b = GraphBuilder::new("model");
    let x = b.input("x", &[1, 2, 4, 4]);
    let z = b.input("z", &[1, 3, 4, 4]);
    let w = b.constant("w", floats(&[3, 2, 1, 1]));
    let lo = b.constant("lo", Tensor::scalar_f32(0.0));
    let conv = b.node("Conv", "conv", &[x, w], Attrs::default(), &[1, 3, 4, 4]);
    let clip = b.node("Clip", "clip", &[conv, lo], Attrs::default(), &[1, 3, 4, 4]);
    let sum = b.node("Add", "sum", &[clip, z], Attrs::default(), &[1, 3, 4, 4]);
    let soft = b.node("Softmax", "soft", &[clip], Attrs::of([("axis", Attr::Int(1))]), &[1, 3, 4, 4]);
    b.output(soft);
    b.output(sum);
    b.finish()
}

#[test]
fn a_float_graph_reads_back() {
    let graph = network();
    let meta = ExportMeta { metadata: [("march".to_owned(), "cpu".to_owned())].into(), ..ExportMeta::default() };
    let bytes = export_float(&graph, &meta);
    assert_eq!(bytes, export_float(&graph, &meta));
    check(&decode(&bytes));
    let raw = import(&bytes.into(), &|_| None, &Limits::default()).unwrap();
    assert_eq!(raw.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["x", "z"]);
    assert_eq!(raw.outputs, ["soft_out", "sum_out"]);
    assert_eq!(raw.constants["w"], floats(&[3, 2, 1, 1]));
    assert_eq!(raw.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["conv", "clip", "sum", "soft"]);
    assert_eq!(raw.nodes[3].attrs, graph.nodes[3].attrs);
}

fn table(names: &[&str]) -> QuantTable {
    let entry = |name: &&str| {
        let params = QuantParams::per_tensor(DType::U8, 0.5, 3);
        ((*name).to_owned(), ActivationQuant { params, lo: 0.0, hi: 1.0, method: "max".to_owned() })
    };
    QuantTable { activations: names.iter().map(entry).collect(), ..QuantTable::default() }
}

#[test]
fn fake_quantization_keeps_names_behind_the_pairs() {
    let graph = network();
    let weights = [(ValueId(2), QuantParams::per_channel(DType::I8, vec![0.5, 0.25, 0.001], 0))].into();
    let quant = table(&["x", "clip_out", "soft_out"]);
    let file = decode(&export_fake_quant(&graph, &quant, &weights, &ExportMeta::default()).unwrap());
    check(&file);
    assert_eq!(find(&file, "conv").input, ["x_dequantized", "w"]);
    assert_eq!(find(&file, "clip").output, ["clip_out_float"]);
    assert_eq!(find(&file, "clip_out_dequantize").output, ["clip_out"]);
    assert_eq!(find(&file, "sum").input, ["clip_out", "z"]);
    assert_eq!(file.output[0].name.as_deref(), Some("soft_out"));
    let quantize = find(&file, "x_quantize");
    let initializer = |name: &str| file.initializer.iter().find(|t| t.name.as_deref() == Some(name)).unwrap();
    assert_eq!(initializer(&quantize.input[1]).raw_data.as_deref(), Some(&0.5f32.to_le_bytes()[..]));
    assert_eq!(initializer(&quantize.input[2]).raw_data.as_deref(), Some(&[3u8][..]));

    let dequantize = find(&file, "w_dequantize");
    assert_eq!(dequantize.output, ["w"]);
    let stored = initializer(&dequantize.input[0]).raw_data.clone().unwrap();
    let original = floats(&[6]);
    let scales = [0.5, 0.5, 0.25, 0.25, 0.001, 0.001];
    for (i, (&q, &w)) in stored.iter().zip(original.f32s().unwrap()).enumerate() {
        assert_eq!(f32::from(q as i8), (w / scales[i]).round_ties_even().clamp(-127.0, 127.0));
    }
    assert_eq!(stored[4], 127, "clipped");
}

#[test]
fn weights_that_do_not_fit_their_scales_are_refused() {
    let weights = [(ValueId(2), QuantParams::per_channel(DType::I8, vec![0.5], 0))].into();
    let error = export_fake_quant(&network(), &table(&[]), &weights, &ExportMeta::default()).unwrap_err();
    assert_eq!((error.code.as_str(), error.place.value.as_deref()), ("EXPORT02", Some("w")));
}

#[test]
fn a_function_is_written_as_its_steps() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2]);
    let steps = ["Mul(x, 0.5)", "Elu(x, alpha=0.25)", "Clip(%1, -, 6)", "Add(%0, %2)"];
    let steps = Attr::Strs(steps.iter().map(|s| (*s).to_owned()).collect());
    let y = b.node("Function", "f", &[x], Attrs::of([("steps", steps)]), &[2]);
    b.output(y);
    let mut g = b.finish();
    g.nodes[0].domain = "ptq".to_owned();
    let file = decode(&export_float(&g, &ExportMeta::default()));
    check(&file);
    let ops: Vec<_> = file.node.iter().map(|n| n.op_type.clone().unwrap()).collect();
    assert_eq!(ops, ["Mul", "Elu", "Clip", "Add"]);
    assert_eq!(find(&file, "f").output, ["f_out"]);
    assert_eq!(file.node[2].input[1], "");
}

//! The seeds of the fuzz run, each one construct, against what ONNX Runtime computes for it.

use crate::Quantized;
use crate::rule::{ParseParams, parse};
use ptq_exec::FloatPlan;
use ptq_ir::{Graph, Tensor};
use std::path::PathBuf;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn load(name: &str, quantized: Quantized) -> Graph {
    let params = ParseParams { quantized, ..ParseParams::default() };
    let parsed = parse(&file(&format!("{name}.onnx")).into(), &|_| None, &params);
    parsed.unwrap_or_else(|p| panic!("{name}: {p:#?}")).0
}

/// Largest distance of the graph's output from the expected one, on the input that the script used.
fn distance(name: &str, quantized: Quantized) -> f32 {
    let graph = load(name, quantized);
    let shape = graph.value(graph.inputs[0]).shape.clone();
    let x = (0..shape.iter().product::<usize>()).map(|i| i as f32 / 16.0 - 1.0).collect();
    let x = Tensor::from_f32(shape, x).unwrap();
    let y = FloatPlan::new(&graph).unwrap().run(&[x], &mut |_, _| {}).unwrap().remove(0);
    let expected = file(&format!("{name}.expected"));
    let expected = expected.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    assert_eq!(expected.len(), y.len(), "{name}");
    y.f32s().unwrap().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn float_constructs_compute_what_onnx_runtime_computes() {
    for name in ["if", "loop", "scan", "function", "sparse", "conv", "shapes"] {
        let far = distance(name, Quantized::Refuse);
        assert!(far < 1e-5, "{name} is {far} away");
    }
}

#[test]
fn quantized_models_become_float_within_their_own_rounding() {
    for (name, tolerance) in [("qdq", 0.06), ("qoperator", 0.06), ("moves", 0.06), ("dynamic", 0.2)] {
        let far = distance(name, Quantized::Requantize);
        assert!(far < tolerance, "{name} is {far} away");
        let refused = parse(&file(&format!("{name}.onnx")).into(), &|_| None, &ParseParams::default()).unwrap_err();
        assert_eq!(refused[0].code, "ONNX06");
    }
}

#[test]
fn the_scales_of_a_quantized_file_come_along() {
    let params = ParseParams { quantized: Quantized::Keep, ..ParseParams::default() };
    for name in ["qdq", "qoperator"] {
        let (graph, _, given) = parse(&file(&format!("{name}.onnx")).into(), &|_| None, &params).unwrap();
        let weights = graph.value(graph.nodes[0].input(1).unwrap()).name.clone();
        assert_eq!(given.weights[&weights].scale, [0.01, 0.02]);
        assert_eq!(given.weights[&weights].axis, Some(0));
        assert_eq!((given.activations["x"].params.scale0(), given.activations["x"].params.zero_point0()), (0.02, 128));
    }
}

#[test]
fn models_above_the_budget_are_refused_with_the_figure() {
    let params = ParseParams { memory_budget: Some(100), ..ParseParams::default() };
    let refused = parse(&file("conv.onnx").into(), &|_| None, &params).unwrap_err();
    assert!(refused.iter().any(|d| d.message.contains("memory_budget is 100")), "{refused:?}");
}

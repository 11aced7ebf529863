//! The stage as the engine sees it: blobs in, blobs out.
#![allow(clippy::unwrap_used)]

use ptq_compile::{CompileParams, CompileRule, OptimizeLevel};
use ptq_ir::ops::ConvGeom;
use ptq_ir::{
    Activation, DType, Device, Diagnostic, QConv, QGraph, QNode, QOp, QTensor, QuantParams, Requant, Rounding, Segment,
    SegmentId, Tensor, TensorId,
};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Memo, Silent, Step, put_qgraph};
use ptq_sim::artifact::{self, Body};
use ptq_sim::timing::Timing;

/// A quantized 3 × 3 convolution over an image of this width.
fn graph(width: usize) -> QGraph {
    let quant = Some(QuantParams::per_tensor(DType::I8, 0.1, 0));
    let tensor = |name: &str, shape: &[usize], dtype, quant: &Option<QuantParams>, data| QTensor {
        name: name.into(),
        source: name.into(),
        shape: shape.to_vec(),
        dtype,
        quant: quant.clone(),
        data,
    };
    let weights = Tensor::from_i8([4, 3, 3, 3], vec![1; 108]).unwrap();
    let geom = ConvGeom { kernel: [3, 3], strides: [1, 1], pads: [1; 4], dilations: [1, 1], group: 1 };
    let conv = QConv {
        geom,
        requant: Some(Requant::Fixed(vec![(1 << 30, 34)])),
        out_zero: 0,
        clamp_lo: -128,
        clamp_hi: 127,
        activation: Activation::None,
    };
    let node = |name: &str, op, inputs: &[u32], output, segment| QNode {
        name: name.into(),
        op,
        inputs: inputs.iter().map(|&t| TensorId(t)).collect(),
        outputs: vec![TensorId(output)],
        segment: SegmentId(segment),
        covers: Vec::new(),
    };
    let segment = |device| Segment { device, subgraph: None };
    QGraph {
        name: "g".into(),
        march: "bayes".into(),
        rounding: Rounding::Fixed,
        tensors: vec![
            tensor("x", &[1, 3, 2, width], DType::F32, &None, None),
            tensor("x_quantized", &[1, 3, 2, width], DType::I8, &quant, None),
            tensor("w", &[4, 3, 3, 3], DType::I8, &None, Some(weights)),
            tensor("y_quantized", &[1, 4, 2, width], DType::I8, &quant, None),
            tensor("y", &[1, 4, 2, width], DType::F32, &None, None),
        ],
        nodes: vec![
            node("x_quantize", QOp::Quantize, &[0], 1, 0),
            node("stem", QOp::Conv(conv), &[1, 2], 3, 1),
            node("y_dequantize", QOp::Dequantize, &[3], 4, 2),
        ],
        segments: [Device::Cpu, Device::Bpu, Device::Cpu].map(segment).to_vec(),
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(4)],
    }
}

fn run(graph: &QGraph, params: &str) -> Result<Blobs, Failure> {
    let mut blobs = Blobs::new();
    put_qgraph(&mut blobs, graph).unwrap();
    blobs.insert("march".into(), ptq_march::source("bayes").unwrap().into_owned().into());
    let ctx = Context { inputs: &blobs, params, progress: &Silent, threads: 1, memo: &Memo::default() };
    match CompileRule.step(&ctx, &[])? {
        Step::Done(out) => Ok(out),
        Step::Need(_) => panic!("compile asks for nothing"),
    }
}

fn params(optimize_level: OptimizeLevel) -> String {
    serde_json::to_string(&CompileParams { optimize_level, ..CompileParams::default() }).unwrap()
}

#[test]
fn the_model_holds_a_program_and_its_plan() {
    assert_eq!(params(OptimizeLevel::O0), r#"{"optimize_level":"O0"}"#);
    let out = run(&graph(8), &params(OptimizeLevel::O0)).unwrap();
    assert_eq!(&out["warnings.json"][..], b"[]");
    let model = artifact::decode(&out["model.bin"]).unwrap();
    assert_eq!((model.march.as_str(), model.optimize_level.as_str()), ("bayes", "O0"));
    let Body::Npu(npu) = &model.segments[1].body else { panic!("not a program") };
    assert_eq!(npu.plan[0].node, "stem");
    assert_eq!(model.segments[1].inputs, [TensorId(1)]);
    assert_eq!(model.segments[1].outputs, [TensorId(3)]);
    assert!(model.tensors[2].data.is_none(), "weights are in the program, not in the table too");
    assert!(ptq_sim::dump(&npu.program).contains("CONV"));
}

#[test]
fn a_higher_level_overlaps_what_o0_runs_one_after_the_other() {
    let low = run(&graph(8), &params(OptimizeLevel::O0)).unwrap();
    let high = run(&graph(8), &params(OptimizeLevel::O3)).unwrap();
    let warnings: Vec<Diagnostic> = serde_json::from_slice(&high["warnings.json"]).unwrap();
    assert_eq!(warnings, []);
    let cycles = |blobs: &Blobs| {
        let model = artifact::decode(&blobs["model.bin"]).unwrap();
        let Body::Npu(npu) = &model.segments[1].body else { panic!("not a program") };
        let march = ptq_march::March::from_toml(&ptq_march::source("bayes").unwrap()).unwrap();
        Timing::of_segment(&model, &model.segments[1], npu, &march.hardware.unwrap()).cycles
    };
    assert!(cycles(&high) < cycles(&low));
}

#[test]
fn a_layer_that_cannot_fit_is_named_with_its_sizes() {
    let failure = run(&graph(1 << 21), &params(OptimizeLevel::O0)).unwrap_err();
    let d = &failure.diagnostics[0];
    assert_eq!((d.code.as_str(), d.place.node.as_deref()), ("COMP02", Some("stem")));
    assert!(d.message.contains("4194304"), "{d}");
}

#[test]
fn inconsistent_programs_and_unknown_parameters_are_refused() {
    let mut broken = graph(8);
    broken.tensors[3].shape = vec![1, 5, 2, 8];
    let failure = run(&broken, &params(OptimizeLevel::O0)).unwrap_err();
    assert_eq!(failure.diagnostics[0].place.node.as_deref(), Some("stem"), "{failure}");
    let mut broken = graph(8);
    broken.nodes[1].inputs[0] = TensorId(99);
    assert!(run(&broken, &params(OptimizeLevel::O0)).is_err());
    assert!(run(&graph(8), r#"{"optimize_level":"O0","colour":1}"#).is_err());
    let mut other = graph(8);
    other.march = "cpu".into();
    assert_eq!(run(&other, &params(OptimizeLevel::O0)).unwrap_err().diagnostics[0].code, "COMP06");
}

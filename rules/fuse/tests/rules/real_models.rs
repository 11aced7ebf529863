//! Fetched models: results before and after fusion agree, and what fusion is for has happened.

#![allow(clippy::print_stdout)] // Figures for the log of a run with --nocapture.

use crate::support::seeded;
use ptq_exec::FloatPlan;
use ptq_fuse::{FuseLog, fuse};
use ptq_ir::{DType, Graph, InputSpec, Tensor, numel};
use ptq_onnx::{ExportMeta, export_float};
use ptq_parse::{ParseParams, ParseRule};
use ptq_rule::{Blobs, BuildRule, Context, Memo, Silent, Step, read_graph};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Allowed `max|a - b| / max|b|` on a whole model.
const MAX_ERROR: f64 = 1e-4;

/// The parsed model; `None` without the file.
fn parsed(file: &str, input: &str, shape: &[i64]) -> Option<Graph> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets");
    let path = std::env::var_os("PTQ_ASSETS").map_or_else(own, PathBuf::from).join("models").join(file);
    let Ok(bytes) = std::fs::read(&path) else {
        let required = std::env::var_os("PTQ_REQUIRE_ALL").is_some_and(|v| v == "1");
        assert!(!required, "missing, and PTQ_REQUIRE_ALL=1 forbids skipping: {}", path.display());
        println!("skipped: no {}", path.display());
        return None;
    };
    let spec = InputSpec { shape: Some(shape.to_vec()), ..InputSpec::default() };
    let params = ParseParams { inputs: BTreeMap::from([(input.to_owned(), spec)]), ..ParseParams::default() };
    let params = serde_json::to_string(&params).expect("encodes");
    let inputs = Blobs::from([("model".to_owned(), bytes.into())]);
    let ctx = Context { inputs: &inputs, params: &params, progress: &Silent, threads: 1, memo: &Memo::default() };
    match ParseRule.step(&ctx, &[]).unwrap_or_else(|e| panic!("{file}: {e}")) {
        Step::Done(blobs) => Some(read_graph(&blobs).expect("decodes")),
        Step::Need(_) => panic!("parse needs nothing"),
    }
}

/// Fuses, compares, writes both files for other tools, and gives the fused graph.
fn fused(file: &str, input: &str, shape: &[i64]) -> Option<(Graph, FuseLog)> {
    let before = parsed(file, input, shape)?;
    let mut after = before.clone();
    let log = fuse(&mut after).unwrap_or_else(|e| panic!("{file}: {e}"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuse");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (graph, stage) in [(&before, "parsed"), (&after, "fused")] {
        let path = folder.join(file.replace(".onnx", &format!(".{stage}.onnx")));
        std::fs::write(path, export_float(graph, &ExportMeta::default())).expect("written");
    }
    let error = difference(&before, &after);
    println!("{file}: {} -> {} nodes, error {error:.1e}, {:?}", before.nodes.len(), after.nodes.len(), log.fired);
    println!("  {:?}", operators(&after));
    for skip in &log.skipped {
        println!("  {} {}: {}", skip.code, skip.node, skip.reason);
    }
    assert!(error <= MAX_ERROR, "{file}: error {error}");
    let again = fuse(&mut after.clone()).expect("fuses again");
    assert!(again.fired.is_empty(), "{file}: a second run fired {:?}", again.fired);
    Some((after, log))
}

fn difference(before: &Graph, after: &Graph) -> f64 {
    let tensor = |(i, v): (usize, &ptq_ir::ValueId)| match before.value(*v) {
        value if value.dtype == DType::F32 => seeded(&value.shape, 100 + i as u64),
        value => {
            let n = numel(&value.shape).expect("small");
            Tensor::from_i32(value.shape.clone(), (0..n).map(|i| (i * 37 % 257) as i32).collect()).expect("count")
        }
    };
    let inputs: Vec<Tensor> = before.inputs.iter().enumerate().map(tensor).collect();
    let run = |g: &Graph| FloatPlan::new(g).expect("plan").run(&inputs, &mut |_, _| {}).expect("runs");
    let pairs = run(before).into_iter().zip(run(after));
    let errors = pairs.map(|(b, a)| {
        let (a, b) = (a.to_f64s(), b.to_f64s());
        let reach = b.iter().map(|y| y.abs()).fold(0.0, f64::max);
        a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max) / reach
    });
    errors.fold(0.0, f64::max)
}

fn operators(graph: &Graph) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for node in &graph.nodes {
        *counts.entry(node.op.as_str()).or_default() += 1;
    }
    counts
}

fn count(graph: &Graph, op: &str) -> usize {
    operators(graph).get(op).copied().unwrap_or(0)
}

#[test]
fn the_text_detector_is_convolutions_and_functions() {
    let Some((g, log)) = fused("ch_PP-OCRv4_det_infer.onnx", "x", &[1, 3, 64, 64]) else { return };
    assert_eq!(log.fired["FUSE12"], 24, "HardSwish");
    for op in ["BatchNormalization", "Div", "Clip"] {
        assert_eq!(count(&g, op), 0, "{op}");
    }
}

#[test]
fn the_text_recogniser_has_layer_normalizations_and_no_constant_products() {
    let Some((g, log)) = fused("ch_PP-OCRv4_rec_infer.onnx", "x", &[1, 3, 48, 96]) else { return };
    assert_eq!(log.fired["FUSE12"], 28, "HardSwish");
    assert_eq!(count(&g, "LayerNormalization"), 5);
    assert_eq!(count(&g, "BatchNormalization"), 0);
}

#[test]
fn the_direction_classifier_has_no_batch_normalization() {
    let Some((g, _)) = fused("ch_ppocr_mobile_v2.0_cls_infer.onnx", "x", &[1, 3, 48, 192]) else { return };
    assert_eq!(count(&g, "BatchNormalization"), 0);
}

#[test]
fn the_image_classifier_keeps_its_results() {
    fused("efficientnet_lite0.onnx", "input", &[1, 3, 224, 224]);
}

#[test]
fn the_classifier_of_files_has_its_normalizations_and_its_softmax() {
    let Some((g, _)) = fused("magika_v3_3.onnx", "bytes", &[1, 2048]) else { return };
    assert_eq!((count(&g, "LayerNormalization"), count(&g, "Softmax")), (2, 1));
    for op in ["ReduceSum", "ReduceMax", "Exp", "Sqrt", "Div"] {
        assert_eq!(count(&g, op), 0, "{op}");
    }
}

#[test]
fn face_detectors_keep_their_results() {
    fused("mtcnn_pnet.onnx", "input_1", &[1, 24, 24, 3]);
    fused("mtcnn_onet.onnx", "input_3", &[1, 48, 48, 3]);
}

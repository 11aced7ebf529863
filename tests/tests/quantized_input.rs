//! Files that onnxruntime.quantization made of our example models, built as they are: refused, kept, requantized.
//!
//! Needs the oracle's virtual environment; see `ptq_tests::skip`.

#![allow(clippy::print_stdout)] // Figures for the log of a run with --nocapture.

use ptq_ir::{InputType, QOp, Tensor};
use ptq_tests::goldens::{EXAMPLES, Example};
use ptq_tests::model_project::{MARCHES, ModelProject, cosine, run_bin, verified};
use ptq_tests::skip::need;
use ptq_tests::{oracle, workspace_root};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Least similarity of our integer program to ONNX Runtime's run of the file whose parameters it keeps.
const LEAST_COSINE: f64 = 0.999;
/// Forms whose parameters march `cpu` can keep.
const KEPT: [&str; 6] =
    ["qdq-u8s8", "qdq-u8s8-channel", "qdq-s8s8", "qoperator-u8s8", "qoperator-u8s8-channel", "qoperator-convs"];

/// Arrays as the model wants them, from the example's calibration images.
fn samples(example: &Example) -> Vec<Tensor> {
    let folder = workspace_root().join("examples").join(example.folder);
    let text = std::fs::read_to_string(folder.join("ptq.toml")).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("TOML");
    let model = manifest["model"].as_table().expect("models").values().next().expect("a model");
    let input = &model["input"][example.input];
    let numbers = |key: &str| -> Vec<f32> {
        input[key].as_array().expect("a list").iter().map(|v| v.as_float().expect("a number") as f32).collect()
    };
    let shape: Vec<usize> = input["shape"]
        .as_array()
        .expect("a shape")
        .iter()
        .map(|v| v.as_integer().expect("an extent") as usize)
        .collect();
    let (mean, scale) = (numbers("mean"), numbers("scale"));
    let kind = if shape[1] == 1 { InputType::Gray } else { InputType::Rgb };
    let spec = ptq_ir::InputSpec { type_train: kind, ..ptq_ir::InputSpec::default() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("data/calib")).expect("images").flatten().map(|e| e.path()).collect();
    files.sort();
    let array = |file: &PathBuf| {
        let bytes = std::fs::read(file).expect("an image");
        let raw = ptq_sample::decode(&file.to_string_lossy(), &bytes, &spec, ptq_ir::DType::F32, &shape);
        let raw = raw.unwrap_or_else(|d| panic!("{d}"));
        let plane = shape[2] * shape[3];
        let of = |(i, v): (usize, &f32)| {
            let c = i / plane % shape[1] % mean.len();
            (v - mean[c]) * scale[c]
        };
        Tensor::from_f32(shape.clone(), raw.f32s().expect("pixels").iter().enumerate().map(of).collect())
            .expect("shape")
    };
    files.iter().take(12).map(array).collect()
}

/// A quantized file in a folder of its own, with what the script says of it.
struct Quantized {
    file: PathBuf,
    weights: Vec<Vec<i64>>,
    samples: Vec<(String, Vec<Tensor>)>,
    _folder: tempfile::TempDir,
}

fn quantized(example: &Example, form: &str) -> Quantized {
    let folder = tempfile::tempdir().expect("a folder");
    let arrays = samples(example);
    std::fs::create_dir(folder.path().join("samples")).expect("a folder");
    for (i, t) in arrays.iter().enumerate() {
        let file = folder.path().join(format!("samples/{i:03}.npy"));
        std::fs::write(file, ptq_sample::write_npy(t).expect("npy")).expect("written");
    }
    let file = folder.path().join("quantized.onnx");
    let source = workspace_root().join("examples").join(example.folder).join("model.onnx");
    let output = Command::new(oracle::python().expect("asked before"))
        .arg(workspace_root().join("tests/oracle/quantized_models.py"))
        .args([Path::new("--model"), &source, Path::new("--samples"), &folder.path().join("samples")])
        .args([Path::new("--form"), Path::new(form), Path::new("--out"), &file])
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{form}: {}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let numbers = |w: &Value| w["values"].as_array().expect("values").iter().filter_map(Value::as_i64).collect();
    let weights = answer["weights"].as_array().expect("weights").iter().map(numbers).collect();
    Quantized { file, weights, samples: vec![(example.input.to_owned(), arrays)], _folder: folder }
}

fn build(q: &Quantized, settings: &str, marches: &[&str]) -> Result<ModelProject, String> {
    ModelProject::build(&q.file, &q.samples, settings, marches)
}

/// Integers of every Conv of the integer program.
fn conv_weights(loaded: &ptq_engine::Loaded) -> Vec<Vec<i64>> {
    let convs = loaded.integer.nodes.iter().filter(|n| matches!(n.op, QOp::Conv(_)));
    let data = convs.filter_map(|n| loaded.integer.tensor(n.inputs[1]).data.as_ref());
    data.map(|t| t.to_i64s().expect("integers")).collect()
}

fn sorted(mut values: Vec<i64>) -> Vec<i64> {
    values.sort_unstable();
    values
}

#[test]
fn kept_parameters_compute_what_onnx_runtime_computes() {
    if need(oracle::python()).is_none() {
        return;
    }
    for example in EXAMPLES {
        for form in KEPT {
            let q = quantized(example, form);
            let project = build(&q, "quantized = \"keep\"", &["cpu"]).unwrap_or_else(|e| panic!("{form}: {e}"));
            let loaded = project.load("cpu");
            let input = std::slice::from_ref(&q.samples[0].1[1]);
            assert!(verified(&loaded, input, 2).expect("a report").passed, "{} {form}", example.folder);
            let truth = project.ort(&q.file, input, "exact").expect("ONNX Runtime runs it");
            let near = cosine(&run_bin(&loaded, input, 2)[0], &truth[0]);
            let ours: Vec<Vec<i64>> = conv_weights(&loaded).into_iter().map(sorted).collect();
            let equal = q.weights.iter().filter(|w| ours.contains(&sorted((*w).clone()))).count();
            println!("{} {form}: cosine {near:.6}, {equal} of its {} weights", example.folder, q.weights.len());
            assert!(near >= LEAST_COSINE, "{} {form}: {near}", example.folder);
            assert!(equal == q.weights.len() && equal > 7, "{} {form}: {equal}", example.folder);
        }
    }
}

#[test]
fn every_form_is_requantized_for_both_marches() {
    if need(oracle::python()).is_none() {
        return;
    }
    for example in EXAMPLES {
        for form in ["qdq-u8s8-channel", "qoperator-u8s8", "qoperator-convs", "dynamic"] {
            let q = quantized(example, form);
            let project = build(&q, "quantized = \"requantize\"", &MARCHES).unwrap_or_else(|e| panic!("{form}: {e}"));
            let input = std::slice::from_ref(&q.samples[0].1[1]);
            let truth = project.ort(&q.file, input, "exact").expect("ONNX Runtime runs it");
            for march in MARCHES {
                let loaded = project.load(march);
                let report = verified(&loaded, input, 2).expect("a report");
                assert!(report.passed, "{} {form} {march}: {report}", example.folder);
                let near = cosine(&run_bin(&loaded, input, 2)[0], &truth[0]);
                println!("{} {form} {march}: cosine {near:.6}", example.folder);
                assert!(near >= 0.98, "{} {form} {march}: {near}", example.folder);
            }
        }
    }
}

#[test]
fn a_quantized_file_is_refused_unless_the_manifest_says_what_to_do() {
    if need(oracle::python()).is_none() {
        return;
    }
    for form in ["qdq-u8s8", "qoperator-u8s8", "dynamic"] {
        let Err(refused) = build(&quantized(&EXAMPLES[0], form), "", &["cpu"]) else { panic!("{form} builds") };
        assert!(refused.contains("ONNX06") && refused.contains("quantized ="), "{form}: {refused}");
    }
}

#[test]
fn notes_name_what_is_not_kept() {
    if need(oracle::python()).is_none() {
        return;
    }
    // BatchNormalization is folded into the weights, so that they are no integers in the file's scales any more.
    let q = quantized(&EXAMPLES[0], "qdq-unprepared");
    let project = build(&q, "quantized = \"keep\"", &["cpu"]).expect("builds");
    let about =
        |node: &str| project.notes.iter().any(|n| n.contains("CALIB12") && n.contains(&format!("node {node}: ")));
    let loaded = project.load("cpu");
    let convs: Vec<&str> = loaded.optimized.nodes.iter().filter(|n| n.is("Conv")).map(|n| n.name.as_str()).collect();
    let silent: Vec<&&str> = convs.iter().filter(|n| !about(n)).collect();
    // The last product has no BatchNormalization behind it: its integers are the file's.
    assert_eq!((convs.len(), silent.len()), (11, 1), "{silent:?} in {:#?}", project.notes);
    // March bayes has no zero points: what the file has with one gets another scale.
    let project = build(&q, "quantized = \"keep\"", &["bayes"]).expect("builds");
    let converted = |n: &String| n.contains("note[CALIB13]: the file's range in the march's scheme");
    assert!(project.notes.iter().any(converted), "{:#?}", project.notes);
}

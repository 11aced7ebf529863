//! Horizon YAML files: every condition that must be refused gives one clear message; what is right becomes a manifest.

#[path = "import/conditions.rs"]
mod conditions;

use conditions::{ERRORS, GOOD};
use ptq_engine::import::import;
use ptq_engine::manifest::{Manifest, Overlay, VariantConfig};
use ptq_ir::Severity;
use std::path::Path;

fn run(text: &str) -> ptq_engine::import::Imported {
    let folder = Path::new("/nonexistent/yaml");
    import(text, "config.yaml", folder, folder)
}

fn errors(text: &str) -> Vec<ptq_ir::Diagnostic> {
    run(text).problems.into_iter().filter(|d| d.severity == Severity::Error).collect()
}

/// The manifest, which must be one that the program takes.
fn taken(imported: &ptq_engine::import::Imported, what: &str) -> String {
    let text = imported.manifest.clone().unwrap_or_else(|| panic!("{what}: {:?}", imported.problems));
    let manifest = Manifest::parse(&text, "ptq.toml", &Overlay::default());
    let manifest = manifest.unwrap_or_else(|p| panic!("{what}: {p:?}\n{text}"));
    for variant in manifest.variants.values() {
        VariantConfig::of(variant).unwrap_or_else(|p| panic!("{what}: {p:?}\n{text}"));
    }
    text
}

#[test]
fn every_condition_gives_one_message_with_line_key_and_remedy() {
    assert_eq!(errors(GOOD), [], "the base is right");
    let refused = ERRORS.iter().filter(|c| !c.code.is_empty());
    assert!(refused.clone().count() >= 60, "{}", refused.clone().count());
    for c in ERRORS {
        assert!(GOOD.contains(c.from), "{}: {}", c.what, c.from);
        let found = errors(&GOOD.replacen(c.from, c.to, 1));
        if c.code.is_empty() {
            assert_eq!(found, [], "{} is fine", c.what);
            continue;
        }
        let Some(d) = found.iter().find(|d| d.code == c.code && d.message.contains(c.says)) else {
            panic!("{}: {} with {:?} is not among {found:?}", c.what, c.code, c.says);
        };
        assert_eq!(d.place.file.as_deref(), Some("config.yaml"), "{}", c.what);
        assert!(c.line == 0 || d.place.line == Some(c.line), "{}: {d:?}", c.what);
        // A group under a wrong name is also a group that is missing.
        let several = ["unknown group", "illegal pair", "caffe", "separate without a batch", "std of 0"];
        let one = found.len() == 1 || several.contains(&c.what);
        assert!(one, "{}: {found:?}", c.what);
        assert!(d.hint.is_some() || c.code == "IMPORT01", "{}", c.what);
    }
}

#[test]
fn several_errors_are_reported_at_once_in_the_order_of_the_file() {
    let text = GOOD.replace("'bayes'", "'bays'").replace("'O2'", "'O9'").replace("0.9999", "7");
    let lines: Vec<Option<u32>> = errors(&text).iter().map(|d| d.place.line).collect();
    assert_eq!(lines, [Some(3), Some(19), Some(22)]);
}

#[test]
fn warnings_do_not_stop_an_import() {
    for (from, to, word) in [
        ("calibration_type: 'max'", "calibration_type: 'kl'", "max_percentile means nothing"),
        ("  working_dir: 'out'", "  log_level: 'debug'", "deprecated"),
        ("  working_dir: 'out'", "  set_node_data_type: 'conv1:int16'", "deprecated"),
        ("  max_percentile: 0.9999", "  preprocess_on: False", "deprecated"),
        ("  cal_data_dir: 'cal_a;cal_b'\n", "", "skip"),
        ("  norm_type: 'data_mean_and_scale", "  norm_type: 'data_scale", "does not use mean_value"),
        ("  max_percentile: 0.9999", "  optimization: set_foo", "optimization set_foo is left out"),
        ("  max_percentile: 0.9999", "  optimization: 'asymmetric,lstm_batch_last'", "lstm_batch_last is left out"),
        ("'max'\n  max_percentile: 0.9999", "'default'\n  optimization: asymmetric", "asymmetric is left out"),
        ("'max'\n  max_percentile: 0.9999", "'skip'\n  optimization: bias_correction", ""),
        ("'max'\n  max_percentile: 0.9999", "'load'", "thresholds of the ONNX file are kept"),
        ("  working_dir: 'out'", "  log_level: 20", "deprecated"),
        ("  working_dir: 'out'", "  node_info: {'c': {'InputType7': 'int16'}}", "no counterpart"),
        ("  working_dir: 'out'", "  node_info: 'c:float32'", "no counterpart"),
        ("march: 'bayes'", "march: 'bernoulli2'\n  node_info: 'c:int16'", "does not have"),
        ("march: 'bayes'", "march: 'nash-e'", "norm_type is deprecated"),
        ("  optimize_level: 'O2'\n", "", "optimize_level is missing"),
        ("  norm_type: 'data_mean_and_scale;no_preprocess'\n", "", "norm_type is missing"),
        ("'nv12;featuremap'\n  input_shape: '1x3x224", "'yuv444;featuremap'\n  input_shape: '1x3x223", "odd height"),
        ("  max_percentile: 0.9999", "  new_key: 1", "unknown key new_key"),
        ("  optimize_level: 'O2'", "  optimize_level: 'O2'\n  balance_factor: 3", "balance_factor means nothing"),
        ("  input_shape:", "  input_layout_rt: 'NHWC;NCHW'\n  input_shape:", "nothing for nv12"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let imported = run(&GOOD.replacen(from, to, 1));
        taken(&imported, to);
        assert!(imported.problems.iter().any(|d| d.message.contains(word)), "{to}: {:?}", imported.problems);
    }
}

#[test]
fn a_right_file_becomes_a_manifest_with_the_same_meaning() {
    let text = GOOD.replacen(
        "  working_dir: 'out'",
        "  working_dir: 'out'\n  node_info: {'c/1': {'ON': 'BPU', 'OutputType': 'int16'}}",
        1,
    );
    let manifest = run(&text).manifest.expect("a manifest");
    for line in [
        "path = \"net.onnx\"",
        "march = \"bayes\"",
        "optimize_level = \"O2\"",
        "[model.net.input.a]",
        "shape = [1, 3, 224, 224]",
        "type_train = \"rgb\"",
        "mean = [123.7, 116.3, 103.5]",
        "[model.net.calibration]",
        "data = { a = \"cal_a\", b = \"cal_b\" }",
        "max_percentile = 0.9999",
        "[model.net.nodes.\"c/1\"]",
        "on = \"BPU\"",
        "out = \"out\"",
    ] {
        assert!(manifest.lines().any(|l| l == line), "{line}\nis not in\n{manifest}");
    }
}

#[test]
fn custom_operators_of_the_model_become_declarations_to_fill_in() {
    let mut b = ptq_ir::GraphBuilder::new("g");
    let x = b.input("a", &[1, 3, 224, 224]);
    let y = b.node("Warp", "w", &[x], ptq_ir::Attrs::default(), &[1, 3, 224, 224]);
    b.output(y);
    let mut graph = b.finish();
    graph.nodes[0].domain = "my.ops".into();
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = ptq_onnx::export_float(&graph, &ptq_onnx::ExportMeta::default());
    std::fs::write(folder.path().join("net.onnx"), &bytes).expect("written");
    let text = "model_parameters:\n  onnx_model: 'net.onnx'\n  march: 'bayes'\ninput_parameters:\n  input_type_train: 'rgb'\n  \
                input_layout_train: 'NCHW'\n  input_type_rt: 'rgb'\n  norm_type: 'no_preprocess'\ncalibration_parameters:\n  \
                calibration_type: 'skip'\ncompiler_parameters:\n  compile_mode: 'latency'\n  optimize_level: 'O0'\ncustom_op:\n  \
                custom_op_method: 'register'\n  op_register_files: 'warp.py'\n  custom_op_dir: 'ops'\n";
    let imported = import(text, "config.yaml", folder.path(), folder.path());
    let manifest = imported.manifest.unwrap_or_else(|| panic!("{:?}", imported.problems));
    for part in ["# [custom_op.Warp]", "# domain = \"my.ops\"", "[\"python3\", \"ops/warp.py\"]"] {
        assert!(manifest.contains(part), "{part} in {manifest}");
    }
    let init = ptq_engine::init::init(bytes, &folder.path().join("net.onnx"), folder.path(), "bayes").expect("reads");
    assert!(init.contains("# [custom_op.Warp]"), "{init}");
}

#[test]
fn paths_are_rewritten_for_the_manifests_folder() {
    let text = GOOD.replacen("'net.onnx'", "'../models/net.onnx'", 1);
    let imported = import(&text, "mapper/config.yaml", Path::new("/p/mapper"), Path::new("/p"));
    let manifest = imported.manifest.expect("a manifest");
    assert!(manifest.contains("path = \"models/net.onnx\"") && manifest.contains("a = \"mapper/cal_a\""), "{manifest}");
}

#[test]
fn a_missing_type_at_run_time_is_told_with_every_type() {
    let found = errors(&GOOD.replacen("  input_type_rt: 'nv12;featuremap'\n", "", 1));
    assert!(!found.is_empty() && found.iter().all(|d| d.message.contains("input_type_rt")), "{found:?}");
    assert!(found.iter().all(|d| d.hint.as_ref().is_some_and(|h| h.contains("nv12"))), "{found:?}");
}

#[test]
fn lines_inside_brackets_may_stand_anywhere() {
    let info = "node_info: {\n    \"a/b\": {\n      'ON': 'BPU',#left\n'InputType': 'int16',\n    },\n  'c': {\n 'ON': 'CPU' } }";
    let base = GOOD.replacen("working_dir: 'out'", info, 1);
    let dos = format!("\u{feff}---\r\n{}", base.replace('\n', "\r\n"));
    for text in [base.clone(), dos, format!("# 注释\n{}", base.trim_end()), base.replace("} }", "}\n}")] {
        let manifest = taken(&run(&text), &text);
        assert!(
            manifest.contains("InputType = \"int16\"") && manifest.contains("nodes.c]\non = \"CPU\""),
            "{manifest}"
        );
    }
    let wrong = base.replace("'O2'", "'O7'");
    let found = errors(&wrong);
    let line = wrong.lines().position(|l| l.contains("O7")).map(|i| i as u32 + 1);
    assert_eq!(found.iter().map(|d| d.place.line).collect::<Vec<_>>(), [line], "{found:?}");
}

#[test]
fn text_of_several_lines_stays_in_its_comment() {
    let text = GOOD.replacen("working_dir: 'out'", "debug_mode: |\n    a\n    march = 'x'", 1);
    assert!(taken(&run(&text), "several lines").contains("# debug_mode = a march = 'x':"));
}

#[test]
fn the_second_generation_has_defaults_of_its_own() {
    let text = GOOD.replacen("'bayes'", "'nash-e'", 1).replacen("  optimize_level: 'O2'\n", "", 1);
    assert!(taken(&run(&text), "nash").contains("optimize_level = \"O2\""));
}

#[test]
fn march_bernoulli2_gets_the_layout_that_it_takes() {
    let text = GOOD.replacen("'bayes'", "'bernoulli2'", 1).replacen("'nv12;", "'yuv444;", 1);
    let imported = run(&text);
    assert!(taken(&imported, "yuv444").contains("layout_rt = \"NHWC\""));
    assert!(imported.problems.iter().any(|d| d.message.contains("yuv444 in NHWC alone")), "{:?}", imported.problems);
}

#[test]
fn an_input_without_a_name_or_a_model_is_a_warning() {
    let imported = run(SMALL);
    assert!(taken(&imported, "small").contains("[model.model.input.input]"));
    assert!(imported.problems.iter().any(|d| d.message.contains("has no name")), "{:?}", imported.problems);
}

const SMALL: &str = "\
model_parameters:
  onnx_model: 'net.onnx'
  march: 'bayes'
input_parameters:
  input_type_train: 'rgb'
  input_layout_train: 'NCHW'
  input_type_rt: 'rgb'
  norm_type: 'no_preprocess'
calibration_parameters:
  cal_data_dir: 'cal'
  calibration_type: 'max'
compiler_parameters:
  compile_mode: 'latency'
  optimize_level: 'O0'
";

/// A folder with a model of one input `data` of 1x3x4x6 and the nodes `conv/relu` and `last`, and one sample for it.
fn project(sample: &str, bytes: &[u8]) -> tempfile::TempDir {
    let mut b = ptq_ir::GraphBuilder::new("g");
    let x = b.input("data", &[1, 3, 4, 6]);
    let y = b.node("Relu", "conv/relu", &[x], ptq_ir::Attrs::default(), &[1, 3, 4, 6]);
    let z = b.node("Sigmoid", "last", &[y], ptq_ir::Attrs::default(), &[1, 3, 4, 6]);
    b.output(z);
    let folder = tempfile::tempdir().expect("a folder");
    let model = ptq_onnx::export_float(&b.finish(), &ptq_onnx::ExportMeta::default());
    std::fs::write(folder.path().join("net.onnx"), model).expect("written");
    std::fs::create_dir(folder.path().join("cal")).expect("made");
    std::fs::write(folder.path().join("cal").join(sample), bytes).expect("written");
    folder
}

#[test]
fn names_and_shapes_are_those_of_the_model() {
    let folder = project("0.bin", &[0; 72]);
    let import = |text: &str| import(text, "config.yaml", folder.path(), folder.path());
    let right = import(SMALL);
    assert!(right.problems.is_empty(), "{:?}", right.problems);
    assert!(taken(&right, "small").contains("shape = [1, 3, 4, 6]"));
    let model = "  march: 'bayes'\n";
    let cal = "  calibration_type: 'max'\n";
    let input = "  norm_type: 'no_preprocess'\n";
    for (after, added, line, says, hint) in [
        (input, "  input_shape: 1x3x8x12\n", 9, "contradicts the model", "input_shape"),
        (input, "  input_shape: 3x4x6\n", 9, "3 dimensions", "1x3x4x6"),
        (input, "  input_name: dat\n", 9, "no input dat", "did you mean data?"),
        (model, "  output_nodes: 'lst'\n", 4, "names lst", "did you mean last?"),
        (model, "  output_nodes: 'a;last'\n", 4, "names a", "nodes: conv/relu, last"),
        (model, "  remove_node_name: 'Softmax'\n", 4, "names Softmax", "nodes:"),
        (
            model,
            "  node_info: {'last': {'ON': 'CPU'},\n    'conv/rel': {'ON': 'CPU'}}\n",
            5,
            "node_info names conv/rel",
            "conv/relu?",
        ),
        (model, "  node_info: 'lasd:int16'\n", 4, "node_info names lasd", "last?"),
        (cal, "  run_on_cpu: 'conv'\n", 12, "run_on_cpu names conv", "nodes:"),
        (cal, "  run_on_bpu: 'last;first'\n", 12, "run_on_bpu names first", "nodes:"),
    ] {
        let imported = import(&SMALL.replacen(after, &format!("{after}{added}"), 1));
        let d = &imported.problems.iter().find(|d| d.message.contains(says));
        let d = d.unwrap_or_else(|| panic!("{says}: {:?}", imported.problems));
        assert!(imported.manifest.is_none() && d.severity == Severity::Error, "{added}: {d:?}");
        assert_eq!(d.place.line, Some(line), "{added}");
        assert!(d.hint.as_ref().is_some_and(|h| h.contains(hint)), "{d:?}");
    }
    let part = import(&SMALL.replacen(cal, "  calibration_type: 'max'\n  run_on_cpu: 'last_2'\n", 1));
    assert!(
        part.manifest.is_some() && part.problems.iter().any(|d| d.message.contains("last_2")),
        "{:?}",
        part.problems
    );
}

#[test]
fn calibration_files_are_looked_at() {
    let npy = |dtype, shape: &[usize]| ptq_sample::write_npy(&ptq_ir::Tensor::zeros(dtype, shape)).expect("an array");
    let (f32, u8) = (ptq_ir::DType::F32, ptq_ir::DType::U8);
    let typed = |t: &str| SMALL.replacen("  calibration_type", &format!("  cal_data_type: {t}\n  calibration_type"), 1);
    for (sample, bytes, text, error, says) in [
        ("0.bin", vec![0; 288], SMALL.to_owned(), None, ""),
        ("0.bin", vec![0; 288], typed("float32"), None, ""),
        ("0.npy", npy(f32, &[1, 3, 4, 6]), typed("float32"), None, ""),
        ("0.npy", npy(u8, &[3, 4, 6]), SMALL.to_owned(), None, ""),
        ("0.tif", vec![0; 288], SMALL.to_owned(), Some(false), "0.tif"),
        ("plain", vec![0; 288], SMALL.to_owned(), Some(false), "plain"),
        (".hidden", vec![0; 288], SMALL.to_owned(), Some(true), "is empty"),
        ("0.bin", vec![0; 100], SMALL.to_owned(), Some(true), "holds 100 bytes"),
        ("0.bin", vec![0; 72], typed("float32"), Some(true), "holds 72 bytes"),
        ("0.raw", vec![0; 288], typed("uint8"), Some(true), "takes 72 (uint8)"),
        ("0.npy", npy(f32, &[1, 4, 6, 3]), SMALL.to_owned(), Some(true), "[1, 4, 6, 3]"),
        ("0.npy", npy(f32, &[1, 3, 4, 6]), typed("uint8"), Some(true), "cal_data_type says uint8"),
        ("0.npy", vec![1; 9], SMALL.to_owned(), Some(true), "is no array"),
    ] {
        let folder = project(sample, &bytes);
        let imported = import(&text, "config.yaml", folder.path(), folder.path());
        let Some(stops) = error else {
            assert!(imported.problems.is_empty(), "{sample}: {:?}", imported.problems);
            continue;
        };
        let [d] = &imported.problems[..] else { panic!("{sample}: {:?}", imported.problems) };
        assert!(d.message.contains(says) && d.message.contains("cal_data_dir cal"), "{d:?}");
        assert_eq!((d.severity == Severity::Error, d.place.line), (stops, Some(10)), "{d:?}");
        assert!(d.hint.is_some(), "{d:?}");
    }
    let folder = project("0.tif", &[0]);
    let imported = import(SMALL, "config.yaml", folder.path(), folder.path());
    let hint = imported.problems[0].hint.clone().unwrap_or_default();
    assert!(ptq_sample::ENDINGS.iter().all(|e| hint.contains(e)), "{hint}");
}

#[cfg(unix)]
#[test]
fn a_sample_that_cannot_be_read_is_named() {
    let folder = project("0.bin", &[0; 72]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("cal/1.bin")).expect("a link");
    let imported = import(SMALL, "config.yaml", folder.path(), folder.path());
    assert!(imported.manifest.is_none() && imported.problems[0].message.contains("1.bin"), "{:?}", imported.problems);
}

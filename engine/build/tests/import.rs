//! Horizon YAML files: every condition that must be refused gives one clear message; what is right becomes a manifest.

use ptq_engine::import::import;
use ptq_ir::Severity;
use std::path::Path;

const GOOD: &str = "\
model_parameters:
  onnx_model: 'net.onnx'
  march: 'bayes'
  output_model_file_prefix: 'net'
  working_dir: 'out'
input_parameters:
  input_name: 'a;b'
  input_type_train: 'rgb;featuremap'
  input_layout_train: 'NCHW;NCHW'
  input_type_rt: 'nv12;featuremap'
  input_shape: '1x3x224x224;1x8'
  norm_type: 'data_mean_and_scale;no_preprocess'
  mean_value: '123.7 116.3 103.5;None'
  scale_value: '0.017;None'
calibration_parameters:
  cal_data_dir: 'cal_a;cal_b'
  cal_data_type: 'float32;float32'
  calibration_type: 'max'
  max_percentile: 0.9999
compiler_parameters:
  compile_mode: 'latency'
  optimize_level: 'O2'
";

struct Case {
    what: &'static str,
    from: &'static str,
    to: &'static str,
    code: &'static str,
    /// Line of the message.
    line: u32,
    /// A part of the message.
    says: &'static str,
}

const fn case(
    what: &'static str,
    from: &'static str,
    to: &'static str,
    code: &'static str,
    line: u32,
    says: &'static str,
) -> Case {
    Case { what, from, to, code, line, says }
}

/// One change of [`GOOD`] each, and the one error that it must give.
const ERRORS: &[Case] = &[
    case(
        "another way of custom operators",
        "  optimize_level: 'O2'\n",
        "  optimize_level: 'O2'\ncustom_op:\n  custom_op_method: 'other'\n  op_register_files: 'a.py'\n",
        "IMPORT21",
        24,
        "custom_op_method is \"other\"",
    ),
    case(
        "custom operators without files",
        "  optimize_level: 'O2'\n",
        "  optimize_level: 'O2'\ncustom_op:\n  custom_op_method: 'register'\n",
        "IMPORT21",
        23,
        "lacks op_register_files",
    ),
    case("no YAML", "march: 'bayes'", "march: 'bayes", "IMPORT01", 0, "no YAML"),
    case(
        "a key twice",
        "  march: 'bayes'\n",
        "  march: 'bayes'\n  march: 'bayes'\n",
        "IMPORT01",
        4,
        "march stands here",
    ),
    case("an alias", "'net.onnx'", "*x", "IMPORT01", 2, ""),
    case("unknown group", "compiler_parameters:", "compile_parameters:", "IMPORT02", 20, "compile_parameters"),
    case("unknown key", "  march:", "  marsh:", "IMPORT02", 3, "marsh"),
    case("key of another group", "  working_dir: 'out'", "  optimize_level: 'O1'", "IMPORT02", 5, "optimize_level"),
    case("number for text", "march: 'bayes'", "march: 5", "IMPORT03", 3, "march must be text"),
    case("text for a number", "max_percentile: 0.9999", "max_percentile: high", "IMPORT03", 19, "max_percentile"),
    case("text for a flag", "  working_dir: 'out'", "  layer_out_dump: maybe", "IMPORT03", 5, "layer_out_dump"),
    case(
        "text for an integer",
        "  optimize_level: 'O2'",
        "  optimize_level: 'O2'\n  jobs: many",
        "IMPORT03",
        23,
        "jobs",
    ),
    case("a list for text", "march: 'bayes'", "march: [bayes]", "IMPORT03", 3, "march"),
    case("a mapping for a list", "cal_data_dir: 'cal_a;cal_b'", "cal_data_dir: {a: b}", "IMPORT03", 16, "cal_data_dir"),
    case("caffe", "onnx_model: 'net.onnx'", "caffe_model: 'net.caffemodel'", "IMPORT10", 2, "Caffe"),
    case("no model", "  onnx_model: 'net.onnx'\n", "", "IMPORT10", 1, "onnx_model is missing"),
    case("wrong suffix", "net.onnx", "net.pt", "IMPORT10", 2, ".onnx"),
    case("unknown march", "march: 'bayes'", "march: 'bays'", "IMPORT11", 3, "bays"),
    case("no march", "  march: 'bayes'\n", "", "IMPORT11", 1, "march is missing"),
    case("march without a file", "march: 'bayes'", "march: 'nash-p'", "IMPORT11", 3, "nash-p"),
    case("empty prefix", "prefix: 'net'", "prefix: '-'", "IMPORT12", 4, "names nothing"),
    case(
        "type that cannot be removed",
        "  working_dir: 'out'",
        "  remove_node_type: 'Quantize;Conv'",
        "IMPORT12",
        5,
        "Conv",
    ),
    case("empty node name", "  working_dir: 'out'", "  remove_node_name: 'a;;b'", "IMPORT12", 5, "empty name"),
    case("node_info text", "  working_dir: 'out'", "  node_info: 'conv1=int16'", "IMPORT12", 5, "conv1=int16"),
    case("node_info key", "  working_dir: 'out'", "  node_info: {'c': {'On': 'BPU'}}", "IMPORT12", 5, "unknown key On"),
    case("node_info device", "  working_dir: 'out'", "  node_info: {'c': {'ON': 'GPU'}}", "IMPORT12", 5, "GPU"),
    case("node_info type", "  working_dir: 'out'", "  node_info: {'c': {'InputType0': 'int4'}}", "IMPORT12", 5, "int4"),
    case("node_info shape", "  working_dir: 'out'", "  node_info: {'c': 'BPU'}", "IMPORT12", 5, "must be a mapping"),
    case("names twice", "input_name: 'a;b'", "input_name: 'a;a'", "IMPORT13", 7, "twice"),
    case("count of types", "'rgb;featuremap'", "'rgb'", "IMPORT15", 8, "input_type_train has 1"),
    case("count of layouts", "'NCHW;NCHW'", "'NCHW;NCHW;NCHW'", "IMPORT15", 9, "input_layout_train has 3"),
    case("count of run-time types", "'nv12;featuremap'", "'nv12'", "IMPORT15", 10, "input_type_rt has 1"),
    case("count of shapes", "'1x3x224x224;1x8'", "'1x3x224x224'", "IMPORT15", 11, "input_shape has 1"),
    case(
        "count of norm types",
        "'data_mean_and_scale;no_preprocess'",
        "'data_mean_and_scale'",
        "IMPORT15",
        12,
        "norm_type has 1",
    ),
    case("count of means", "'123.7 116.3 103.5;None'", "'123.7'", "IMPORT15", 13, "mean_value has 1"),
    case("count of folders", "'cal_a;cal_b'", "'cal_a'", "IMPORT15", 16, "cal_data_dir has 1"),
    case("count of data types", "'float32;float32'", "'float32;float32;uint8'", "IMPORT15", 17, "cal_data_type has 3"),
    case("shape syntax", "1x3x224x224;", "1,3,224,224;", "IMPORT14", 11, "1,3,224,224"),
    case("image of three dimensions", "1x3x224x224;", "3x224x224;", "IMPORT14", 11, "3 dimensions"),
    case("odd nv12", "1x3x224x224;", "1x3x223x224;", "IMPORT14", 11, "odd"),
    case("batch of several inputs", "  norm_type:", "  input_batch: 4\n  norm_type:", "IMPORT16", 12, "one input"),
    case(
        "separate twice",
        "  norm_type:",
        "  separate_batch: True\n  separate_name: 'a'\n  norm_type:",
        "IMPORT16",
        12,
        "exclude",
    ),
    case("type of training", "'rgb;featuremap'", "'rbg;featuremap'", "IMPORT17", 8, "rbg"),
    case("type at run time", "'nv12;featuremap'", "'yuv420;featuremap'", "IMPORT17", 10, "yuv420"),
    case("illegal pair", "'rgb;featuremap'", "'rgb;gray'", "IMPORT17", 10, "trained on gray and run on featuremap"),
    case("image without layout", "  input_layout_train: 'NCHW;NCHW'\n", "", "IMPORT17", 6, "input_layout_train"),
    case("layout", "'NCHW;NCHW'", "'CHW;NCHW'", "IMPORT17", 9, "CHW"),
    case(
        "video range without nv12",
        "  norm_type:",
        "  input_space_and_range: 'regular;bt601_video'\n  norm_type:",
        "IMPORT17",
        12,
        "bt601_video",
    ),
    case(
        "space and range",
        "  norm_type:",
        "  input_space_and_range: 'full;regular'\n  norm_type:",
        "IMPORT17",
        12,
        "full",
    ),
    case(
        "source",
        "  optimize_level: 'O2'",
        "  optimize_level: 'O2'\n  input_source: {'a': 'ddr'}",
        "IMPORT17",
        23,
        "ddr does not go with",
    ),
    case(
        "source of no input",
        "  optimize_level: 'O2'",
        "  optimize_level: 'O2'\n  input_source: {'c': 'ddr'}",
        "IMPORT13",
        23,
        "names c",
    ),
    case("norm type", "data_mean_and_scale;", "mean_and_scale;", "IMPORT17", 12, "mean_and_scale"),
    case("mean of a featuremap", "103.5;None", "103.5;1.0", "IMPORT18", 13, "featuremap"),
    case(
        "scale and std",
        "  norm_type: 'data_mean_and_scale;no_preprocess'",
        "  std_value: '58;None'",
        "IMPORT18",
        12,
        "both",
    ),
    case("number syntax", "'0.017;None'", "'0,017x;None'", "IMPORT18", 14, "no list of numbers"),
    case("numbers a channel", "'0.017;None'", "'0.017 0.018;None'", "IMPORT18", 14, "3 channels"),
    case("scale is missing", "  scale_value: '0.017;None'\n", "", "IMPORT18", 12, "needs scale_value"),
    case("calibration type", "calibration_type: 'max'", "calibration_type: 'maximum'", "IMPORT19", 18, "maximum"),
    case("data type", "'float32;float32'", "'float32;float64'", "IMPORT19", 17, "float64"),
    case(
        "ending against type",
        "'cal_a;cal_b'\n  cal_data_type: 'float32;",
        "'cal_f32;cal_b'\n  cal_data_type: 'uint8;",
        "IMPORT19",
        16,
        "_f32",
    ),
    case("percentile", "0.9999", "1.5", "IMPORT19", 19, "outside 0.5..1"),
    case(
        "both devices",
        "  max_percentile: 0.9999",
        "  run_on_bpu: 'n'\n  run_on_cpu: 'm;n'",
        "IMPORT19",
        19,
        "node n",
    ),
    case("level", "'O2'", "'O4'", "IMPORT20", 22, "O4"),
    case("level of the march", "march: 'bayes'", "march: 'nash-e'", "", 0, ""),
    case("mode", "compile_mode: 'latency'", "compile_mode: 'fast'", "IMPORT20", 21, "fast"),
    case(
        "balance without factor",
        "compile_mode: 'latency'",
        "compile_mode: 'balance'",
        "IMPORT20",
        21,
        "balance_factor",
    ),
    case(
        "factor",
        "compile_mode: 'latency'",
        "compile_mode: 'balance'\n  balance_factor: 101",
        "IMPORT20",
        22,
        "0..100",
    ),
    case("cores", "  optimize_level: 'O2'", "  optimize_level: 'O2'\n  core_num: 3", "IMPORT20", 23, "core_num"),
    case("time", "  optimize_level: 'O2'", "  optimize_level: 'O2'\n  max_time_per_fc: 999", "IMPORT20", 23, "999"),
    case("jobs", "  optimize_level: 'O2'", "  optimize_level: 'O2'\n  jobs: 0", "IMPORT20", 23, "jobs"),
    case(
        "memory",
        "  optimize_level: 'O2'",
        "  optimize_level: 'O2'\n  max_l2m_size: 1",
        "IMPORT20",
        23,
        "max_l2m_size",
    ),
    case("advice", "  optimize_level: 'O2'", "  optimize_level: 'O2'\n  advice: -1", "IMPORT20", 23, "advice"),
    case(
        "cache mode",
        "  optimize_level: 'O2'",
        "  optimize_level: 'O2'\n  cache_mode: 'on'",
        "IMPORT20",
        23,
        "cache_mode on",
    ),
    case(
        "cache path",
        "  optimize_level: 'O2'",
        "  optimize_level: 'O2'\n  cache_mode: 'enable'",
        "IMPORT20",
        23,
        "cache_path",
    ),
    case(
        "dump with a resizer",
        "  optimize_level: 'O2'",
        "  optimize_level: 'O2'\n  input_source: {'a': 'resizer'}",
        "",
        0,
        "",
    ),
];

fn run(text: &str) -> ptq_engine::import::Imported {
    let folder = Path::new("/nonexistent/yaml");
    import(text, "config.yaml", folder, folder)
}

fn errors(text: &str) -> Vec<ptq_ir::Diagnostic> {
    run(text).problems.into_iter().filter(|d| d.severity == Severity::Error).collect()
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
        let one = found.len() == 1 || c.what == "unknown group" || c.what == "illegal pair" || c.what == "caffe";
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
        ("  max_percentile: 0.9999", "  new_key: 1", "unknown key new_key"),
        ("  optimize_level: 'O2'", "  optimize_level: 'O2'\n  balance_factor: 3", "balance_factor means nothing"),
        ("  input_shape:", "  input_layout_rt: 'NHWC;NCHW'\n  input_shape:", "nothing for nv12"),
    ] {
        let imported = run(&GOOD.replacen(from, to, 1));
        assert!(imported.manifest.is_some(), "{to}: {:?}", imported.problems);
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

//! A right Horizon YAML file, and every change of it that must be refused.

/// A right file.
pub(crate) const GOOD: &str = "\
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

/// A change and what is said of it.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) code: &'static str,
    /// Line of the message.
    pub(crate) line: u32,
    /// A part of the message.
    pub(crate) says: &'static str,
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
pub(crate) const ERRORS: &[Case] = &[
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
    case("march without a file", "march: 'bayes'", "march: 'nash-p'", "IMPORT11", 3, "nash-p has no march file"),
    case(
        "another march without a file",
        "march: 'bayes'",
        "march: 'nash-m'",
        "IMPORT11",
        3,
        "nash-m has no march file",
    ),
    case("empty prefix", "prefix: 'net'", "prefix: '-'", "IMPORT12", 4, "names nothing"),
    case("no prefix in quotes", "prefix: 'net'", "prefix: ''", "IMPORT12", 4, "prefix is empty"),
    case("no prefix at all", "prefix: 'net'", "prefix:", "IMPORT12", 4, "prefix is empty"),
    case("empty march", "march: 'bayes'", "march: ''", "IMPORT11", 3, "march is missing"),
    case("march of other letters", "march: 'bayes'", "march: 'Bernoulli2'", "IMPORT11", 3, "Bernoulli2 is unknown"),
    case("empty model", "onnx_model: 'net.onnx'", "onnx_model: ''", "IMPORT10", 2, "onnx_model is missing"),
    case("two documents", "compiler_parameters:", "---\ncompiler_parameters:", "IMPORT01", 21, "second document"),
    case("a brace that stays open", "march: 'bayes'", "march: {", "IMPORT01", 0, "no YAML"),
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
    case(
        "separate without a batch",
        "  norm_type:",
        "  separate_batch: True\n  norm_type:",
        "IMPORT16",
        12,
        "needs a batch",
    ),
    case("separate no input", "  norm_type:", "  separate_name: 'c'\n  norm_type:", "IMPORT13", 12, "names c"),
    case(
        "batch of several values",
        "  norm_type:",
        "  input_batch: '4;4'\n  norm_type:",
        "IMPORT03",
        12,
        "input_batch",
    ),
    case("type of training", "'rgb;featuremap'", "'rbg;featuremap'", "IMPORT17", 8, "rbg"),
    case(
        "no type at run time",
        "  input_type_rt: 'nv12;featuremap'\n",
        "  input_type_rt: 'nv12;'\n",
        "IMPORT15",
        10,
        "1 values",
    ),
    case("None at run time", "'nv12;featuremap'", "'None;featuremap'", "IMPORT17", 10, "nothing of input a"),
    case("None in training", "'rgb;featuremap'", "'None;featuremap'", "IMPORT17", 8, "nothing of input a"),
    case("None as layout", "'NCHW;NCHW'", "'None;NCHW'", "IMPORT17", 9, "how it lies"),
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
        "source without an input",
        "  optimize_level: 'O2'",
        "  optimize_level: 'O2'\n  input_source: pyramid",
        "IMPORT17",
        23,
        "names no input",
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
    case("scale of 0", "'0.017;None'", "'0 0 0;None'", "IMPORT18", 14, "holds a 0"),
    case("a scale of 0", "'0.017;None'", "'0.017 0.0 0.017;None'", "IMPORT18", 14, "holds a 0"),
    case("scale beyond float32", "'0.017;None'", "'1e60;None'", "IMPORT18", 14, "no list of numbers"),
    case("std of 0", "  scale_value: '0.017;None'", "  std_value: '0;None'", "IMPORT18", 14, "holds a 0"),
    case("numbers a channel", "'0.017;None'", "'0.017 0.018;None'", "IMPORT18", 14, "3 channels"),
    case("scale is missing", "  scale_value: '0.017;None'\n", "", "IMPORT18", 12, "needs scale_value"),
    case("calibration type", "calibration_type: 'max'", "calibration_type: 'maximum'", "IMPORT19", 18, "maximum"),
    case("folder without a name", "'cal_a;cal_b'", "';cal_b'", "IMPORT19", 16, "no folder in place 1"),
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

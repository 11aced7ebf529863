//! Every key of a manifest: one table for reading, refusing, documenting and suggesting.

pub(crate) use super::key::words;
pub use super::key::{Key, KeyType, find, is_group, matches};

const TYPES: &[&str] = &["rgb", "bgr", "yuv444", "gray", "featuremap", "bytes"];
const TYPES_RT: &[&str] = &["nv12", "yuv444", "rgb", "bgr", "gray", "featuremap", "bytes"];
const LAYOUTS: &[&str] = &["NCHW", "NHWC"];
const NORM_TYPES: &[&str] =
    &["no_preprocess", "data_mean", "data_scale", "data_mean_and_scale", "data_std", "data_mean_and_std"];

macro_rules! key {
    ($path:literal, $kind:expr, $default:literal, $horizon:literal, $stage:literal, $meaning:literal) => {
        Key { path: $path, kind: $kind, default: $default, horizon: $horizon, stage: $stage, meaning: $meaning }
    };
}

macro_rules! type_key {
    ($path:literal, $meaning:literal) => {
        key!($path, KeyType::Word(&["int8", "int16"]), "by the march", "node_info", "partition", $meaning)
    };
}

/// Keys that a variant may set, directly or through `[defaults]`, `[model.NAME]`, a matrix or `-D`.
pub const KEYS: &[Key] = &[
    key!("path", KeyType::Text, "(required)", "onnx_model", "parse", "ONNX file, relative to the manifest"),
    key!(
        "march",
        KeyType::Text,
        "\"cpu\"",
        "march",
        "calibrate",
        "target: a built-in name, or a path that ends in .toml"
    ),
    key!(
        "optimize_level",
        KeyType::Word(&["O0", "O1", "O2", "O3"]),
        "\"O0\"",
        "optimize_level",
        "compile",
        "how hard compile searches"
    ),
    key!(
        "compile.mode",
        KeyType::Word(&["latency", "bandwidth", "balance"]),
        "\"latency\"",
        "compile_mode",
        "compile",
        "what plans are judged by: predicted cycles, bytes from and to DDR, or both"
    ),
    key!(
        "compile.balance_factor",
        KeyType::Integer,
        "50",
        "balance_factor",
        "compile",
        "with mode balance: percent of cycles against bytes, at most 100"
    ),
    key!(
        "compile.core_num",
        KeyType::Integer,
        "1",
        "core_num",
        "compile",
        "cores that one run may use, as many as the march has; split where that is predicted to be faster, above O0"
    ),
    key!(
        "compile.max_time_per_fc",
        KeyType::Count,
        "0",
        "max_time_per_fc",
        "compile",
        "longest function call in microseconds, 1000 or more, so that others get the BPU in between; 0 for any length"
    ),
    key!(
        "compile.debug",
        KeyType::Flag,
        "true",
        "debug",
        "compile",
        "whether model.bin keeps names, operators and tiles of the layers of programs, for `ptq perf` and errors"
    ),
    key!(
        "compile.advice",
        KeyType::Number,
        "none",
        "advice",
        "compile",
        "tell of layers that are predicted to take so many microseconds longer than their bound, and why"
    ),
    key!(
        "compile.jobs",
        KeyType::Integer,
        "by --jobs",
        "jobs",
        "compile",
        "most threads of one compile; changes no byte and causes no rebuild"
    ),
    key!(
        "compile.replay_plan",
        KeyType::Text,
        "none",
        "-",
        "compile",
        "compiled model whose plan is followed without a search; `ptq build --replay-plan FILE` sets it"
    ),
    key!(
        "memory_budget",
        KeyType::Size,
        "\"1 GiB\"",
        "-",
        "parse",
        "most bytes of the model's constants together (also computed ones), of each activation, and of unrolled loops; \
         a model that needs more is refused"
    ),
    key!(
        "quantized",
        KeyType::Word(&["refuse", "requantize", "keep"]),
        "\"refuse\"",
        "-",
        "parse",
        "an already quantized model: refused, turned into float and calibrated anew, or with its own thresholds kept"
    ),
    key!(
        "rewrites",
        KeyType::Texts,
        "all",
        "-",
        "fuse",
        "names or patterns of the `[[rewrite]]` tables that the variant takes; an empty list for none"
    ),
    key!(
        "fuse.without",
        KeyType::Texts,
        "[]",
        "-",
        "fuse",
        "codes or names of built-in fuse rules that are not run, such as [\"FUSE14\"]; `ptq rule CODE` says what each does"
    ),
    key!("fuse.with", KeyType::Texts, "[]", "-", "fuse", "built-in fuse rules that run on request only: [\"FUSE26\"]"),
    key!(
        "custom_op",
        KeyType::Texts,
        "all",
        "custom_op",
        "parse",
        "names or patterns of the `[custom_op.NAME]` tables that the variant may use"
    ),
    key!("input.*.shape", KeyType::Integers, "the model's", "input_shape", "parse", "fixes dynamic dimensions"),
    key!(
        "input.*.batch",
        KeyType::Integer,
        "1",
        "input_batch",
        "parse",
        "items at once, up to 4096, for a model with one input whose shape begins with 1; samples hold one item"
    ),
    key!(
        "input.*.separate_batch",
        KeyType::Flag,
        "false",
        "separate_batch",
        "compile",
        "at run time each item of a batch is an input of its own: `x_0`, `x_1`, …"
    ),
    key!(
        "input.*.type_train",
        KeyType::Word(TYPES),
        "\"featuremap\"",
        "input_type_train",
        "calibrate",
        "what the model was trained on and calibration data holds; bytes: the first and last bytes of files of any kind, \
         white space at the ends passed over, 256 where a file is too short, for an int32 input [1, even]"
    ),
    key!(
        "input.*.layout_train",
        KeyType::Word(LAYOUTS),
        "\"NCHW\"",
        "input_layout_train",
        "calibrate",
        "axis order of an image input"
    ),
    key!(
        "input.*.fit",
        KeyType::Word(&["cover", "pad", "stretch"]),
        "\"cover\"",
        "-",
        "calibrate",
        "how a picture of another size becomes the input's: scaled to cover it and cropped around the centre; scaled to \
         fit inside, at the left top, the rest filled; or each side scaled on its own"
    ),
    key!("input.*.pad", KeyType::Number, "0", "-", "calibrate", "gray level 0..255 that fit = \"pad\" fills with"),
    key!(
        "input.*.type_rt",
        KeyType::Word(TYPES_RT),
        "float32 pixels as trained",
        "input_type_rt",
        "parse",
        "what arrives at run time; its conversion to type_train becomes part of the model (docs/inputs.md)"
    ),
    key!(
        "input.*.layout_rt",
        KeyType::Word(LAYOUTS),
        "by source",
        "input_layout_rt",
        "parse",
        "axis order of the bytes at run time; nv12 has none"
    ),
    key!(
        "input.*.source",
        KeyType::Word(&["pyramid", "ddr", "resizer"]),
        "by type_rt",
        "input_source",
        "parse",
        "where the accelerator takes the input from: nv12 pyramid (or resizer), gray pyramid (or ddr, resizer), others ddr"
    ),
    key!(
        "input.*.space_and_range",
        KeyType::Word(&["regular", "bt601_video"]),
        "\"regular\"",
        "input_space_and_range",
        "parse",
        "range of nv12 bytes: 0..255, or luma 16..235 and chroma 16..240"
    ),
    key!(
        "input.*.norm_type",
        KeyType::Word(NORM_TYPES),
        "by mean, scale and std",
        "norm_type",
        "parse",
        "which of mean, scale and std are given; a contradiction is an error"
    ),
    key!(
        "input.*.mean",
        KeyType::Numbers,
        "none",
        "mean_value",
        "parse",
        "subtracted from each pixel: one number, or one a channel"
    ),
    key!("input.*.scale", KeyType::Numbers, "none", "scale_value", "parse", "multiplied after the subtraction"),
    key!(
        "input.*.std",
        KeyType::Numbers,
        "none",
        "std_value",
        "parse",
        "divided by after the subtraction, instead of scale"
    ),
    key!(
        "calibration.data",
        KeyType::TextOrTable,
        "none",
        "cal_data_dir",
        "calibrate",
        "folder or glob of samples; a table by input name for several inputs"
    ),
    key!(
        "calibration.data_type",
        KeyType::Word(&["float32", "uint8", "int8", "int16", "int32"]),
        "as the file says",
        "cal_data_type",
        "calibrate",
        "type of the elements of calibration files: how .bin and .raw are read, and what .npy must hold"
    ),
    key!(
        "calibration.type",
        KeyType::Word(&["max", "kl", "mse", "default", "mix", "auto", "load", "skip"]),
        "\"max\"",
        "calibration_type",
        "calibrate",
        "how thresholds are chosen; default, mix and auto try several ways and take the best score"
    ),
    key!(
        "calibration.max_percentile",
        KeyType::Number,
        "1.0",
        "max_percentile",
        "calibrate",
        "share of elements that the threshold of max covers"
    ),
    key!(
        "calibration.per_channel",
        KeyType::Flag,
        "false",
        "per_channel",
        "calibrate",
        "a threshold for each channel of a feature map, where a Conv in front and only Convs behind can absorb that"
    ),
    key!(
        "calibration.asymmetric",
        KeyType::Flag,
        "false",
        "optimization: asymmetric",
        "calibrate",
        "zero points that follow the range, on a march whose scheme is symmetric"
    ),
    key!(
        "calibration.score_samples",
        KeyType::Integer,
        "8",
        "-",
        "calibrate",
        "samples that a search scores on, the first in name order (auto: all, up to 64); 1 is Horizon's behaviour"
    ),
    key!(
        "calibration.score_at",
        KeyType::Word(&["output", "last_quantized"]),
        "\"output\"",
        "-",
        "calibrate",
        "where a search compares: at the outputs, or at the last quantized values in front of them"
    ),
    key!(
        "calibration.sensitive_below",
        KeyType::Number,
        "0.999",
        "-",
        "calibrate",
        "mix: a node whose score alone is below this is sensitive"
    ),
    key!("calibration.max_int16_macs", KeyType::Number, "0", "-", "calibrate", "auto: largest share of MACs in int16"),
    key!(
        "calibration.thresholds",
        KeyType::Text,
        "none",
        "-",
        "calibrate",
        "load: JSON file of ranges by value name, such as a quant_info.json, or a quantized ONNX file (QDQ) of the same model; what it leaves out is calibrated from calibration.data"
    ),
    key!(
        "calibration.weights",
        KeyType::Word(&["max", "mse"]),
        "\"max\"",
        "-",
        "calibrate",
        "how the scale of each filter's weights is chosen: by the largest magnitude, or by least mean squared error"
    ),
    key!(
        "calibration.bias_correction",
        KeyType::Flag,
        "false",
        "-",
        "calibrate",
        "biases make up for the mean error of their filters on the samples"
    ),
    key!(
        "calibration.equalization",
        KeyType::Flag,
        "false",
        "-",
        "calibrate",
        "channels between two Convs get scales that make the weights in front and behind equally large (cross-layer equalization)"
    ),
    key!(
        "calibration.rounding",
        KeyType::Word(&["nearest", "compensated"]),
        "\"nearest\"",
        "-",
        "calibrate",
        "how weights become integers: each to the nearest, or one after the other with the rest and the bias making up for the loss"
    ),
    key!(
        "output_nodes",
        KeyType::Texts,
        "the model's",
        "output_nodes",
        "parse",
        "nodes whose results become the only outputs, in this order"
    ),
    key!(
        "remove_node_type",
        KeyType::Texts,
        "[]",
        "remove_node_type",
        "parse, partition",
        "types removed beside inputs and outputs, in this order: Quantize, Transpose, Dequantize, Cast, Reshape, Softmax; Quantize and Dequantize \
         also as borders of the build, after all others: the port carries integers"
    ),
    key!(
        "remove_node_name",
        KeyType::Texts,
        "[]",
        "remove_node_name",
        "parse, partition",
        "nodes of these types removed beside inputs and outputs, in this order; borders are called INPUT_quantize, OUTPUT_dequantize"
    ),
    key!("nodes.*.on", KeyType::Word(&["BPU", "CPU"]), "by the march", "node_info", "partition", "device of one node"),
    type_key!("nodes.*.InputType", "type of the inputs of one node, where the march can; what makes them gives it too"),
    type_key!("nodes.*.InputType0", "type of its first input"),
    type_key!("nodes.*.InputType1", "type of its second input"),
    type_key!("nodes.*.InputType2", "type of its third input"),
    type_key!("nodes.*.OutputType", "type of its outputs; a tail Conv gives up its int32"),
    key!(
        "optimization",
        KeyType::Texts,
        "[]",
        "optimization",
        "partition",
        "Horizon's words: set_model_output_<type>, set_<Op>_input_<type>, set_<Op>_output_<type> (int8, int16), set_all_nodes_int16, run_fast, asymmetric, bias_correction"
    ),
    key!("run_on_bpu", KeyType::Texts, "[]", "run_on_bpu", "partition", "nodes to run on the BPU where the march can"),
    key!("run_on_cpu", KeyType::Texts, "[]", "run_on_cpu", "partition", "nodes to keep on the CPU"),
    key!(
        "artifacts",
        KeyType::Texts,
        "all",
        "-",
        "build",
        "files to write into the variant's output folder, such as [\"model.bin\", \"report.md\"]; others are removed there"
    ),
    key!(
        "eval.data",
        KeyType::TextOrTable,
        "none",
        "-",
        "evaluate",
        "folder or glob of evaluation samples, which calibration should not hold; a table by input name for several inputs"
    ),
    key!(
        "eval.labels",
        KeyType::Text,
        "the float model's answers",
        "-",
        "evaluate",
        "text file with one sample a line: file name, tab or comma, label (docs/accuracy-gates.md)"
    ),
    key!(
        "eval.metric",
        KeyType::Word(&["top1", "top5", "characters", "lines", "mask_iou", "map"]),
        "\"top1\"",
        "-",
        "evaluate",
        "what is measured"
    ),
    key!("eval.output", KeyType::Text, "the first", "-", "evaluate", "name of the output that is evaluated"),
    key!(
        "eval.classes",
        KeyType::Texts,
        "numbers",
        "-",
        "evaluate",
        "words of the labels, in the order of the classes"
    ),
    key!(
        "eval.dictionary",
        KeyType::Text,
        "the model's metadata \"character\"",
        "-",
        "evaluate",
        "text file with the entries of a recogniser, one a line"
    ),
    key!("eval.above", KeyType::Number, "0.3", "-", "evaluate", "mask_iou: a pixel above this belongs to the mask"),
    key!(
        "eval.command",
        KeyType::Texts,
        "none",
        "-",
        "evaluate",
        "program with arguments that measures instead: it gets a folder of answers (.npy by sample) and the labels file behind \
         its arguments, and prints a number or a JSON object of numbers as its last line"
    ),
    key!(
        "gate.min_cosine",
        KeyType::Number,
        "none",
        "-",
        "gate",
        "least cosine similarity of any output of model.bin to the float model's, on the first calibration sample"
    ),
    key!(
        "gate.min_sqnr_db",
        KeyType::Number,
        "none",
        "-",
        "gate",
        "least signal to quantization noise ratio of any output, in decibels, on the same sample"
    ),
    key!(
        "gate.max_top1_drop",
        KeyType::Number,
        "none",
        "-",
        "gate",
        "how much less than the float model's the top-1 accuracy on eval.data may be, as a share of 1"
    ),
    key!(
        "gate.min_metric",
        KeyType::Number,
        "none",
        "-",
        "gate",
        "least figure of the evaluation (eval.metric or eval.command)"
    ),
];

/// Keys that are part of the manifest's language but not of this version; refused by name, never ignored.
pub const LATER: &[&str] = &[];

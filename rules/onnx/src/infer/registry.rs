//! The table of operators: name, attributes of operator set 17, inference function.

use super::{
    InferCtx, Inferred, arg, bits, cast, concat, conv, elementwise, expand, gather, matmul, matrix, norm, pad, pool,
    range, recurrent, reduce, reshape, resize, sampling, scatter, select, shape_of, slice, softmax, space, split,
    squeeze, topk, transpose,
};

/// One operator.
pub(super) struct OpEntry {
    /// Name in the standard domain.
    pub(super) op: &'static str,
    /// Attributes that it may have. Any other one is refused: it could change the meaning.
    pub(super) attrs: &'static [&'static str],
    /// Inference function.
    pub(super) infer: fn(&InferCtx<'_>) -> Inferred,
}

const fn op(op: &'static str, attrs: &'static [&'static str], infer: fn(&InferCtx<'_>) -> Inferred) -> OpEntry {
    OpEntry { op, attrs, infer }
}

/// The entry of an operator.
pub(super) fn find(name: &str) -> Option<&'static OpEntry> {
    OPS.iter().find(|e| e.op == name)
}

const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const CONV_TRANSPOSE: &[&str] =
    &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"];
const AVERAGE_POOL: &[&str] = &["auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"];
const MAX_POOL: &[&str] = &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"];
const RESIZE: &[&str] = &[
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "mode",
    "nearest_mode",
];
const GRU: &[&str] = &[
    "activation_alpha",
    "activation_beta",
    "activations",
    "clip",
    "direction",
    "hidden_size",
    "layout",
    "linear_before_reset",
];
const LSTM: &[&str] = &[
    "activation_alpha",
    "activation_beta",
    "activations",
    "clip",
    "direction",
    "hidden_size",
    "input_forget",
    "layout",
];
const RNN: &[&str] =
    &["activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout"];
const ROI_ALIGN: &[&str] =
    &["coordinate_transformation_mode", "mode", "output_height", "output_width", "sampling_ratio", "spatial_scale"];
const REDUCE: &[&str] = &["axes", "keepdims"];
const ARG: &[&str] = &["axis", "keepdims", "select_last_index"];

/// All operators, by family.
pub(super) const OPS: &[OpEntry] = &[
    // Convolution and products.
    op("Conv", CONV, conv::conv),
    op("ConvTranspose", CONV_TRANSPOSE, conv::conv_transpose),
    op("Gemm", &["alpha", "beta", "transA", "transB"], matmul::gemm),
    op("MatMul", &[], matmul::matmul),
    op("GRU", GRU, recurrent::gru),
    op("LSTM", LSTM, recurrent::lstm),
    op("RNN", RNN, recurrent::rnn),
    // Normalization.
    op("BatchNormalization", &["epsilon", "momentum", "training_mode"], norm::batch),
    op("InstanceNormalization", &["epsilon"], norm::instance),
    op("LRN", &["alpha", "beta", "bias", "size"], elementwise::unary_float),
    op("LpNormalization", &["axis", "p"], softmax::softmax),
    op("LayerNormalization", &["axis", "epsilon", "stash_type"], norm::layer),
    // One input, element by element.
    op("Abs", &[], elementwise::unary),
    op("Acos", &[], elementwise::unary_float),
    op("Acosh", &[], elementwise::unary_float),
    op("Asin", &[], elementwise::unary_float),
    op("Asinh", &[], elementwise::unary_float),
    op("Atan", &[], elementwise::unary_float),
    op("Atanh", &[], elementwise::unary_float),
    op("Ceil", &[], elementwise::unary_float),
    op("Celu", &["alpha"], elementwise::unary_float),
    op("Clip", &[], elementwise::clip),
    op("Cos", &[], elementwise::unary_float),
    op("Cosh", &[], elementwise::unary_float),
    op("Dropout", &["seed"], elementwise::unary),
    op("Elu", &["alpha"], elementwise::unary_float),
    op("Erf", &[], elementwise::unary_float),
    op("Exp", &[], elementwise::unary_float),
    op("Floor", &[], elementwise::unary_float),
    op("HardSigmoid", &["alpha", "beta"], elementwise::unary_float),
    op("HardSwish", &[], elementwise::unary_float),
    op("Identity", &[], elementwise::unary),
    op("IsInf", &["detect_negative", "detect_positive"], bits::test),
    op("IsNaN", &[], bits::test),
    op("LeakyRelu", &["alpha"], elementwise::unary_float),
    op("Log", &[], elementwise::unary_float),
    op("Neg", &[], elementwise::unary),
    op("Not", &[], elementwise::logical_not),
    op("Reciprocal", &[], elementwise::unary_float),
    op("Relu", &[], elementwise::unary),
    op("Round", &[], elementwise::unary_float),
    op("Selu", &["alpha", "gamma"], elementwise::unary_float),
    op("Sigmoid", &[], elementwise::unary_float),
    op("Shrink", &["bias", "lambd"], elementwise::unary),
    op("Sign", &[], elementwise::unary),
    op("Sin", &[], elementwise::unary_float),
    op("Sinh", &[], elementwise::unary_float),
    op("Softplus", &[], elementwise::unary_float),
    op("Softsign", &[], elementwise::unary_float),
    op("Sqrt", &[], elementwise::unary_float),
    op("Tan", &[], elementwise::unary_float),
    op("Tanh", &[], elementwise::unary_float),
    op("ThresholdedRelu", &["alpha"], elementwise::unary_float),
    op("Cast", &["to"], cast::cast),
    // Several inputs, broadcast.
    op("Add", &[], elementwise::arithmetic),
    op("Sub", &[], elementwise::arithmetic),
    op("Mul", &[], elementwise::arithmetic),
    op("Div", &[], elementwise::arithmetic),
    op("Mod", &["fmod"], elementwise::modulo),
    op("Pow", &[], elementwise::power),
    op("PRelu", &[], elementwise::prelu),
    op("Min", &[], elementwise::variadic),
    op("Max", &[], elementwise::variadic),
    op("Sum", &[], elementwise::variadic),
    op("Mean", &[], elementwise::variadic),
    op("Equal", &[], elementwise::comparison),
    op("Less", &[], elementwise::comparison),
    op("LessOrEqual", &[], elementwise::comparison),
    op("Greater", &[], elementwise::comparison),
    op("GreaterOrEqual", &[], elementwise::comparison),
    op("And", &[], elementwise::logical),
    op("Or", &[], elementwise::logical),
    op("Xor", &[], elementwise::logical),
    op("Where", &[], elementwise::select),
    op("BitShift", &["direction"], bits::shift),
    op("BitwiseAnd", &[], bits::bitwise),
    op("BitwiseOr", &[], bits::bitwise),
    op("BitwiseXor", &[], bits::bitwise),
    op("BitwiseNot", &[], bits::not),
    op("BitCast", &["to"], bits::cast),
    // Pools and reductions.
    op("AveragePool", AVERAGE_POOL, pool::pool),
    op("LpPool", &["auto_pad", "kernel_shape", "p", "pads", "strides"], pool::pool),
    op("MaxPool", MAX_POOL, pool::max),
    op("MaxUnpool", &["kernel_shape", "pads", "strides"], pool::max_unpool),
    op("GlobalAveragePool", &[], pool::global),
    op("GlobalLpPool", &["p"], pool::global),
    op("GlobalMaxPool", &[], pool::global),
    op("ReduceL1", REDUCE, reduce::by_attribute),
    op("ReduceL2", REDUCE, reduce::by_attribute),
    op("ReduceLogSum", REDUCE, reduce::by_attribute),
    op("ReduceLogSumExp", REDUCE, reduce::by_attribute),
    op("ReduceMax", REDUCE, reduce::by_attribute),
    op("ReduceMean", REDUCE, reduce::by_attribute),
    op("ReduceMin", REDUCE, reduce::by_attribute),
    op("ReduceProd", REDUCE, reduce::by_attribute),
    op("ReduceSum", &["keepdims", "noop_with_empty_axes"], reduce::sum),
    op("ReduceSumSquare", REDUCE, reduce::by_attribute),
    op("ArgMax", ARG, arg::arg),
    op("ArgMin", ARG, arg::arg),
    op("TopK", &["axis", "largest", "sorted"], topk::top_k),
    op("CumProd", &["exclusive", "reverse"], matrix::cumulative_product),
    op("CumSum", &["exclusive", "reverse"], elementwise::cumulative),
    op("Softmax", &["axis"], softmax::softmax),
    op("LogSoftmax", &["axis"], softmax::softmax),
    op("Hardmax", &["axis"], softmax::softmax),
    // Moving data.
    op("Concat", &["axis"], concat::concat),
    op("Split", &["axis"], split::split),
    op("Slice", &[], slice::slice),
    op("Gather", &["axis"], gather::gather),
    op("GatherElements", &["axis"], gather::elements),
    op("GatherND", &["batch_dims"], gather::blocks),
    op("ScatterElements", &["axis", "reduction"], scatter::elements),
    op("ScatterND", &["reduction"], scatter::blocks),
    op("Compress", &["axis"], select::compress),
    op("NonZero", &[], select::non_zero),
    op("OneHot", &["axis"], select::one_hot),
    op("Unique", &["axis", "sorted"], select::unique),
    op("ReverseSequence", &["batch_axis", "time_axis"], matrix::reverse_sequence),
    op("Trilu", &["upper"], matrix::triangle),
    op("Det", &[], matrix::determinant),
    op("Reshape", &["allowzero"], reshape::reshape),
    op("Flatten", &["axis"], reshape::flatten),
    op("Squeeze", &[], squeeze::squeeze),
    op("Unsqueeze", &[], squeeze::unsqueeze),
    op("Transpose", &["perm"], transpose::transpose),
    op("Pad", &["mode"], pad::pad),
    op("Expand", &[], expand::expand),
    op("Tile", &[], expand::tile),
    op("Resize", RESIZE, resize::resize),
    op("GridSample", &["align_corners", "mode", "padding_mode"], sampling::grid_sample),
    op("MaxRoiPool", &["pooled_shape", "spatial_scale"], sampling::max_roi_pool),
    op("RoiAlign", ROI_ALIGN, sampling::roi_align),
    op("DepthToSpace", &["blocksize", "mode"], space::depth_to_space),
    op("SpaceToDepth", &["blocksize"], space::space_to_depth),
    // Shapes as data.
    op("Shape", &["start", "end"], shape_of::shape),
    op("Size", &[], shape_of::size),
    op("ConstantOfShape", &["value"], shape_of::constant_of_shape),
    op("Range", &[], range::range),
];

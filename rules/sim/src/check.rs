//! When an integer operator fits its tensors: shapes, types, constants.
//!
//! Compile asks before it lowers, loading asks before anything runs; so the code behind either may index without
//! further questions.

mod elementwise;
mod lines;
mod moves;
mod quant;
mod window;

use ptq_ir::{DType, QNode, QOp, QTensor, TensorId, numel};

pub(crate) use quant::check_params;

/// Largest tensor in bytes.
pub const MAX_TENSOR_BYTES: usize = 1 << 31;

/// What does not fit, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{owner}: {what}")]
pub struct CheckError {
    /// Name of the node or tensor.
    pub owner: String,
    /// One lower-case sentence.
    pub what: String,
}

/// Checks a tensor by itself: size, data, quantization parameters.
///
/// # Errors
/// Names the tensor.
pub fn check_tensor(tensor: &QTensor) -> Result<(), CheckError> {
    let bad = |what: String| CheckError { owner: tensor.name.clone(), what };
    let bytes = numel(&tensor.shape).and_then(|n| n.checked_mul(tensor.dtype.bytes()));
    if bytes.is_none_or(|b| b > MAX_TENSOR_BYTES) {
        return Err(bad(format!("shape {:?} is larger than {MAX_TENSOR_BYTES} bytes", tensor.shape)));
    }
    if let Some(data) = &tensor.data
        && (data.shape() != tensor.shape || data.dtype() != tensor.dtype)
    {
        let (dtype, shape) = (data.dtype(), data.shape());
        return Err(bad(format!("data is {dtype}{shape:?} but declared {}{:?}", tensor.dtype, tensor.shape)));
    }
    match &tensor.quant {
        Some(params) => check_params(params, tensor).map_err(bad),
        None => Ok(()),
    }
}

/// Checks a node against its tensors. Float operators are not looked into: their own evaluation checks them.
///
/// # Errors
/// Names the node.
pub fn check_node(node: &QNode, tensors: &[QTensor]) -> Result<(), CheckError> {
    let bad = |what: String| CheckError { owner: node.name.clone(), what };
    let find = |id: &TensorId| tensors.get(id.0 as usize).ok_or_else(|| bad(format!("tensor {} does not exist", id.0)));
    let inputs = node.inputs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let outputs = node.outputs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    if let QOp::Float { present, .. } = &node.op {
        let filled = present.iter().filter(|&&p| p).count();
        let fits = filled == inputs.len() && !outputs.is_empty();
        return if fits { Ok(()) } else { Err(bad("inputs or outputs do not fit the operator".into())) };
    }
    let &[output] = &outputs[..] else {
        return Err(bad(format!("has {} outputs, not one", outputs.len())));
    };
    if inputs.is_empty() || inputs.iter().chain([&output]).any(|t| t.shape.contains(&0)) {
        return Err(bad("has no input, or an empty tensor".into()));
    }
    check_integer_op(&node.op, &inputs, output).map_err(bad)
}

fn check_integer_op(op: &QOp, inputs: &[&QTensor], output: &QTensor) -> Result<(), String> {
    match op {
        QOp::Float { .. } => Ok(()),
        QOp::Quantize => quant::check_quantize(one(inputs)?, output),
        QOp::Dequantize => quant::check_dequantize(one(inputs)?, output),
        QOp::Conv(conv) => window::check_conv(conv, inputs, output),
        QOp::AveragePool(pool) => window::check_average(pool, one(inputs)?, output),
        QOp::MaxPool(geom) => window::check_max(geom, one(inputs)?, output),
        QOp::Add(add) => elementwise::check_add(add, two(inputs)?, output),
        QOp::Mul(mul) => elementwise::check_mul(mul, two(inputs)?, output),
        QOp::Lut(lut) => elementwise::check_lut(lut, one(inputs)?, output),
        QOp::Extreme(extreme) => elementwise::check_extreme(extreme, two(inputs)?, output),
        QOp::Div(div) => elementwise::check_div(div, two(inputs)?, output),
        QOp::MatMul(matmul) => lines::check_matmul(matmul, two(inputs)?, output),
        QOp::Reduce(reduce) => lines::check_reduce(reduce, one(inputs)?, output),
        QOp::Softmax(softmax) => lines::check_softmax(softmax, one(inputs)?, output),
        QOp::Concat(concat) => moves::check_concat(concat, inputs, output),
        QOp::Resize(resize) => moves::check_resize(resize, one(inputs)?, output),
        QOp::LinearResize(resize) => moves::check_linear_resize(resize, one(inputs)?, output),
        QOp::DepthToSpace(block) => moves::check_depth_to_space(*block, one(inputs)?, output),
        QOp::SpaceToDepth { block } => moves::check_space_to_depth(*block, one(inputs)?, output),
        QOp::Slice { starts } => moves::check_slice(starts, one(inputs)?, output),
        QOp::Gather { axis, indices } => moves::check_gather(*axis, indices, one(inputs)?, output),
        QOp::Pad { before, value } => moves::check_pad(before, *value, one(inputs)?, output),
        QOp::Reshape => moves::check_reshape(one(inputs)?, output),
        QOp::Transpose { perm } => moves::check_transpose(perm, one(inputs)?, output),
        QOp::Requantize(requantize) => moves::check_requantize(requantize, one(inputs)?, output),
    }
}

fn one<'a>(inputs: &[&'a QTensor]) -> Result<&'a QTensor, String> {
    match inputs {
        [x] => Ok(x),
        _ => Err(format!("has {} inputs, not one", inputs.len())),
    }
}

fn two<'a>(inputs: &[&'a QTensor]) -> Result<[&'a QTensor; 2], String> {
    match inputs {
        [a, b] => Ok([a, b]),
        _ => Err(format!("has {} inputs, not two", inputs.len())),
    }
}

/// A type that activations have, 8 or 16 bits wide; its range.
fn activation(t: &QTensor) -> Result<(i32, i32), String> {
    match (t.dtype, t.dtype.quant_range()) {
        (DType::I8 | DType::U8 | DType::I16, Some(range)) => Ok(range),
        _ => Err(format!("tensor {} is {}, not a type of 8 or 16 bits", t.name, t.dtype)),
    }
}

/// How many values a type has: the entries of its tables.
fn values(t: &QTensor) -> Result<usize, String> {
    activation(t).map(|(lo, hi)| (hi - lo) as usize + 1)
}

/// An 8-bit type that carries a scale.
fn eight_bit(t: &QTensor) -> Result<(i32, i32), String> {
    match (t.dtype, t.dtype.quant_range()) {
        (DType::I8 | DType::U8, Some(range)) => Ok(range),
        _ => Err(format!("tensor {} is {}, not an 8-bit type", t.name, t.dtype)),
    }
}

fn same_shape(a: &QTensor, b: &QTensor) -> Result<(), String> {
    if a.shape == b.shape {
        Ok(())
    } else {
        Err(format!("{} has shape {:?}, {} has {:?}", a.name, a.shape, b.name, b.shape))
    }
}

/// Operators that one width runs through.
fn same_width(a: &QTensor, b: &QTensor) -> Result<(), String> {
    if a.dtype.bytes() == b.dtype.bytes() { Ok(()) } else { same_type(a, b) }
}

fn same_type(a: &QTensor, b: &QTensor) -> Result<(), String> {
    if a.dtype == b.dtype { Ok(()) } else { Err(format!("{} is {}, {} is {}", a.name, a.dtype, b.name, b.dtype)) }
}

fn shape_is(t: &QTensor, expect: &[usize]) -> Result<(), String> {
    if t.shape == expect {
        Ok(())
    } else {
        Err(format!("{} has shape {:?}, the operator gives {expect:?}", t.name, t.shape))
    }
}

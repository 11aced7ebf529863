//! The operators of quantized models, one table: which input is what.

use super::{Done, Grid, Pass, refuse};
use ptq_ir::{Attrs, DType, Diagnostic, Tensor};
use ptq_onnx::RawNode;

/// A float operator over quantized operands: integer input, scale, zero point of each, then those of the result.
struct Form {
    op: &'static str,
    float: &'static str,
    /// Input, scale, zero point of each operand.
    operands: &'static [[usize; 3]],
    /// Scale and zero point of the result.
    result: [usize; 2],
    /// Integer bias, whose scale is the product of the operands' scales.
    bias: Option<usize>,
    /// Axis of the second operand's scales.
    axis: i64,
}

const fn form(op: &'static str, float: &'static str, operands: &'static [[usize; 3]], result: [usize; 2]) -> Form {
    Form { op, float, operands, result, bias: None, axis: 0 }
}

const ONE: &[[usize; 3]] = &[[0, 1, 2]];
const TWO: &[[usize; 3]] = &[[0, 1, 2], [3, 4, 5]];

const FORMS: &[Form] = &[
    Form { bias: Some(8), ..form("QLinearConv", "Conv", TWO, [6, 7]) },
    Form { axis: -1, ..form("QLinearMatMul", "MatMul", TWO, [6, 7]) },
    Form { bias: Some(6), ..form("QGemm", "Gemm", TWO, [7, 8]) },
    form("QLinearAdd", "Add", TWO, [6, 7]),
    form("QLinearMul", "Mul", TWO, [6, 7]),
    form("QLinearAveragePool", "AveragePool", ONE, [3, 4]),
    form("QLinearGlobalAveragePool", "GlobalAveragePool", ONE, [3, 4]),
    form("QLinearLeakyRelu", "LeakyRelu", ONE, [3, 4]),
    form("QLinearReduceMean", "ReduceMean", ONE, [3, 4]),
    form("QLinearSigmoid", "Sigmoid", ONE, [3, 4]),
    form("QLinearSoftmax", "Softmax", ONE, [3, 4]),
];

/// Converts one node of a quantized model.
pub(super) fn convert(pass: &mut Pass, node: RawNode) -> Done {
    let (first, second) = (node.input(0).map(str::to_owned), node.outputs.first().cloned());
    let (Some(x), Some(y)) = (first, second) else { return Err(refuse(&node, "an input or output is missing")) };
    match node.op.as_str() {
        "QuantizeLinear" => quantize(pass, &node, x, &y),
        "DequantizeLinear" => dequantize(pass, &node, &x, y),
        "DynamicQuantizeLinear" => dynamic(pass, &node, x),
        "MatMulInteger" => integer_product(pass, &node, "MatMul", -1),
        "ConvInteger" => integer_product(pass, &node, "Conv", 0),
        "QLinearConcat" => concat(pass, node, y),
        op => match FORMS.iter().find(|f| f.op == op) {
            Some(form) => by_form(pass, node, form, y),
            None => Err(refuse(&node, "no float form is known")),
        },
    }
}

fn axis(node: &RawNode) -> Result<i64, Diagnostic> {
    match node.attrs.int("block_size", 0) {
        0 => Ok(node.attrs.int("axis", 1)),
        size => Err(refuse(node, format!("scales of blocks of {size} are not supported"))),
    }
}

fn quantize(pass: &mut Pass, node: &RawNode, x: String, y: &str) -> Done {
    let grid = pass.grid(node, 1, 2)?;
    let axis = axis(node)?;
    let Some(tensor) = pass.constants.get(&x) else { return pass.quantize(node, x, y, grid) };
    // A constant is quantized here and now: its integers are what the file means.
    let shape = tensor.shape().to_vec();
    let (_, inner) = super::channels(&shape, grid.scale.len(), axis)
        .ok_or_else(|| refuse(node, "its scales do not fit the constant"))?;
    let (lo, hi) = match grid.dtype {
        DType::U8 => (0.0, 255.0),
        DType::I8 => (-128.0, 127.0),
        other => return Err(refuse(node, format!("constants of {other} are not supported"))),
    };
    let one = |(i, v): (usize, f64)| {
        let c = (i / inner) % grid.scale.len();
        let q = (v as f32 / grid.scale[c]).round_ties_even() + grid.zero[c] as f32;
        q.clamp(lo, hi)
    };
    let data = tensor.to_f64s().into_iter().enumerate().map(one);
    let integers = match grid.dtype {
        DType::U8 => Tensor::from_u8(shape, data.map(|q| q as u8).collect()),
        _ => Tensor::from_i8(shape, data.map(|q| q as i8).collect()),
    };
    pass.constants.insert(y.to_owned(), integers.map_err(|e| refuse(node, e.to_string()))?);
    Ok(())
}

fn dequantize(pass: &mut Pass, node: &RawNode, x: &str, y: String) -> Done {
    let grid = pass.grid(node, 1, 2)?;
    if pass.constants.contains_key(x) {
        return pass.weights(node, x, &grid, axis(node)?, &y);
    }
    let real = pass.real(node, 0, &grid, axis(node)?)?;
    if pass.outputs.contains(&y) {
        pass.float(&node.name, "Identity", vec![Some(real)], y, Attrs::default());
    } else {
        pass.alias.insert(y, real);
    }
    Ok(())
}

/// `y` stands for `x` itself, with scale 1 and zero point 0: then every product behind it is right.
fn dynamic(pass: &mut Pass, node: &RawNode, x: String) -> Done {
    let scalar = Tensor::scalar_f32(1.0);
    let grid = Grid { dtype: DType::U8, scale: vec![1.0], zero: vec![0] };
    let zero = Tensor::from_u8(Vec::new(), vec![0]).map_err(|e| refuse(node, e.to_string()))?;
    pass.integer.insert(node.outputs[0].clone(), (x, grid));
    node.outputs.get(1).map(|s| pass.constants.insert(s.clone(), scalar));
    node.outputs.get(2).map(|z| pass.constants.insert(z.clone(), zero));
    Ok(())
}

/// MatMulInteger and ConvInteger over what DynamicQuantizeLinear made and constant weights. The weights' scale comes in
/// a later Mul, so that the product is of their numbers minus the zero point.
fn integer_product(pass: &mut Pass, node: &RawNode, float: &str, weight_axis: i64) -> Done {
    let unit = |pass: &Pass, zero: usize, length: usize| -> Result<Grid, Diagnostic> {
        let values = match node.input(zero) {
            None => vec![0; length],
            Some(name) => {
                let tensor = pass.constants.get(name).ok_or_else(|| refuse(node, format!("{name} is not constant")))?;
                tensor.to_f64s().into_iter().map(|v| v as i32).collect()
            }
        };
        Ok(Grid { dtype: DType::U8, scale: vec![1.0; values.len()], zero: values })
    };
    let (of_x, of_w) = (unit(pass, 2, 1)?, unit(pass, 3, 1)?);
    let x = pass.real(node, 0, &of_x, 0)?;
    let w = pass.real(node, 1, &of_w, weight_axis)?;
    pass.table.weights.remove(&w);
    pass.float(&node.name, float, vec![Some(x), Some(w)], node.outputs[0].clone(), node.attrs.clone());
    Ok(())
}

fn concat(pass: &mut Pass, node: RawNode, y: String) -> Done {
    let grid = pass.grid(&node, 0, 1)?;
    let mut inputs = Vec::new();
    for i in (2..node.inputs.len()).step_by(3) {
        let own = pass.grid(&node, i + 1, i + 2)?;
        inputs.push(Some(pass.real(&node, i, &own, 0)?));
    }
    pass.float(&node.name, "Concat", inputs, y.clone(), node.attrs.clone());
    pass.quantize(&node, y.clone(), &y, grid)
}

fn by_form(pass: &mut Pass, node: RawNode, form: &Form, y: String) -> Done {
    if node.attrs.int("channels_last", 0) != 0 {
        return Err(refuse(&node, "channels_last is not supported"));
    }
    let mut attrs = node.attrs.clone();
    attrs.0.remove("channels_last");
    attrs.0.remove("opset");
    let mut inputs = Vec::new();
    let mut scales: Vec<Vec<f32>> = Vec::new();
    for &[value, scale, zero] in form.operands {
        let grid = pass.grid(&node, scale, zero)?;
        let axis = if form.float == "Gemm" && attrs.int("transB", 0) == 0 { 1 } else { form.axis };
        inputs.push(Some(pass.real(&node, value, &grid, axis)?));
        scales.push(grid.scale);
    }
    if let Some(bias) = form.bias.and_then(|i| node.input(i)) {
        let scale: Vec<f32> = scales[1].iter().map(|w| w * scales[0][0]).collect();
        let grid = Grid { dtype: DType::I32, zero: vec![0; scale.len()], scale };
        let to = pass.fresh(&format!("{bias}_real"));
        pass.weights(&node, bias, &grid, -1, &to)?;
        inputs.push(Some(to));
    }
    // A result without scale is float (QGemm).
    if node.input(form.result[0]).is_none() {
        pass.float(&node.name, form.float, inputs, y, attrs);
        return Ok(());
    }
    let grid = pass.grid(&node, form.result[0], form.result[1])?;
    if pass.outputs.contains(&y) {
        let real = pass.fresh(&format!("{y}_real"));
        pass.float(&node.name, form.float, inputs, real.clone(), attrs);
        let end = RawNode { name: pass.fresh(&format!("{}_output", node.name)), ..node };
        return pass.quantize(&end, real, &y, grid);
    }
    pass.float(&node.name, form.float, inputs, y.clone(), attrs);
    pass.quantize(&node, y.clone(), &y, grid)
}

//! Colour conversion, shift by 128 and normalization `(x - mean) * scale` as part of the model, so that the model takes
//! what arrives at run time.

use crate::colour::Colour;
use ptq_ir::{
    Attr, Attrs, DType, Diagnostic, Graph, InputSpec, InputType, Layout, Node, RESIZER_PIXELS, Source, Tensor, ValueId,
};
use std::collections::BTreeMap;

/// Checks every description against its input, and inserts `<input>_preprocess` where something is to be converted: one
/// 1x1 Conv (weight = colour matrix · scale, bias = (colour offset - mean) · scale; depthwise where channels stay apart)
/// for NCHW images, the same between two Transposes where channels of NHWC images mix, Sub and Mul with broadcast
/// constants otherwise.
///
/// # Errors
/// `PARSE07` for each description that does not fit.
pub(crate) fn insert(graph: &mut Graph, specs: &BTreeMap<String, InputSpec>) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut front = Vec::new();
    for id in graph.inputs.clone() {
        let name = graph.value(id).name.clone();
        let Some(spec) = specs.get(&name) else { continue };
        match step(graph, id, spec) {
            Ok(Some(step)) => front.extend(nodes(graph, id, &step)),
            Ok(None) => {}
            Err(why) => problems.push(Diagnostic::error("PARSE07", why).value(name)),
        }
    }
    graph.nodes.splice(0..0, front);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Colour, mean and scale of each channel, the channel axis, and the form of the nodes.
struct Step {
    colour: Colour,
    mean: Vec<f32>,
    scale: Vec<f32>,
    axis: usize,
    form: Form,
}

#[derive(PartialEq)]
enum Form {
    /// One Conv on NCHW images.
    Conv,
    /// A Conv between Transposes.
    TransposedConv,
    /// Sub and Mul.
    Elements,
}

fn step(graph: &Graph, id: ValueId, spec: &InputSpec) -> Result<Option<Step>, String> {
    let value = graph.value(id);
    let rank = value.shape.len();
    let axis = match spec.layout_train {
        Layout::Nchw => 1,
        Layout::Nhwc => rank.saturating_sub(1),
    };
    image(spec, &value.shape)?;
    let channels = if rank >= 2 { value.shape[axis] } else { 1 };
    let colour = Colour::of(spec, channels);
    if !spec.normalizes() && colour.is_nothing() {
        return Ok(None);
    }
    if value.dtype != DType::F32 {
        return Err(format!("mean, scale and type_rt need a float32 input, this one is {}", value.dtype));
    }
    let mean = spread(&spec.mean, 0.0, channels, "mean")?;
    let scale = spread(&spec.scale, 1.0, channels, "scale")?;
    let form = match spec.layout_train {
        Layout::Nchw if rank == 4 => Form::Conv,
        Layout::Nhwc if !colour.is_diagonal() => Form::TransposedConv,
        _ => Form::Elements,
    };
    Ok(Some(Step { colour, mean, scale, axis, form }))
}

/// Whether the shape is an image of the declared types.
fn image(spec: &InputSpec, shape: &[usize]) -> Result<(), String> {
    if spec.type_train == InputType::Nv12 {
        return Err("type_train cannot be nv12, only type_rt can; models are trained on full planes".to_owned());
    }
    let Some(channels) = spec.type_train.channels() else { return Ok(()) };
    let dims = spec.layout_train.nchw(shape).filter(|d| d[1] == channels);
    let Some([_, _, h, w]) = dims else {
        let layout = spec.layout_train.word();
        return Err(format!("shape {shape:?} is not an image of {channels} channels in {layout}"));
    };
    if spec.type_rt == Some(InputType::Nv12) && (h % 2 == 1 || w % 2 == 1) {
        return Err(format!(
            "type_rt = \"nv12\" needs an even height and width, this input is {h} high and {w} wide: \
             one chroma pair belongs to 2 x 2 pixels"
        ));
    }
    if spec.source == Some(Source::Resizer) && h * w >= RESIZER_PIXELS {
        return Err(format!("source = \"resizer\" takes less than {RESIZER_PIXELS} pixels, {h} x {w} are {}", h * w));
    }
    Ok(())
}

fn spread(values: &[f32], default: f32, channels: usize, what: &str) -> Result<Vec<f32>, String> {
    if values.iter().any(|v| !v.is_finite()) {
        return Err(format!("{what} {values:?} must be finite"));
    }
    match values {
        [] => Ok(vec![default; channels]),
        &[one] => Ok(vec![one; channels]),
        many if many.len() == channels => Ok(many.to_vec()),
        many => Err(format!("{what} has {} entries; one, or one for each of {channels} channels", many.len())),
    }
}

/// Makes the nodes and lets every reader of the input read their result. Model outputs that are inputs stay.
fn nodes(graph: &mut Graph, input: ValueId, step: &Step) -> Vec<Node> {
    let value = graph.value(input).clone();
    let base = format!("{}_preprocess", value.name);
    let out = add(graph, &format!("{base}ed"), value.shape.clone());
    for node in &mut graph.nodes {
        node.inputs.iter_mut().flatten().filter(|v| **v == input).for_each(|v| *v = out);
    }
    match step.form {
        Form::Conv => vec![conv(graph, input, out, &base, step)],
        Form::TransposedConv => {
            let nchw = Layout::Nhwc.nchw(&value.shape).map_or_else(Vec::new, |d| d.to_vec());
            let planes = add(graph, &format!("{base}_planes"), nchw.clone());
            let converted = add(graph, &format!("{base}_converted"), nchw);
            let turn = |graph: &mut Graph, what: &str, from, to, perm: [i64; 4]| {
                let name = graph.fresh_node_name(&format!("{base}_{what}"));
                node("Transpose", name, &[from], to, Attrs::of([("perm", Attr::Ints(perm.to_vec()))]))
            };
            vec![
                turn(graph, "to_planes", input, planes, [0, 3, 1, 2]),
                conv(graph, planes, converted, &base, step),
                turn(graph, "to_pixels", converted, out, [0, 2, 3, 1]),
            ]
        }
        Form::Elements => elements(graph, input, out, &base, step),
    }
}

fn elements(graph: &mut Graph, input: ValueId, out: ValueId, base: &str, step: &Step) -> Vec<Node> {
    let value = graph.value(input).clone();
    let rank = value.shape.len();
    let mut shape = vec![1; if rank >= 2 { rank - step.axis } else { 0 }];
    if let Some(first) = shape.first_mut() {
        *first = step.mean.len();
    }
    let between = add(graph, &format!("{base}_centred"), value.shape);
    let centre = |(m, o): (&f32, &f64)| (f64::from(*m) - o) as f32;
    let mean = step.mean.iter().zip(&step.colour.offset).map(centre).collect();
    let mean = constant(graph, &format!("{base}_mean"), &shape, mean);
    let scale = constant(graph, &format!("{base}_scale"), &shape, step.scale.clone());
    let sub = graph.fresh_node_name(&format!("{base}_sub"));
    let mul = graph.fresh_node_name(base);
    vec![
        node("Sub", sub, &[input, mean], between, Attrs::default()),
        node("Mul", mul, &[between, scale], out, Attrs::default()),
    ]
}

/// Weights and biases are computed in float64 and rounded once.
fn conv(graph: &mut Graph, input: ValueId, out: ValueId, base: &str, step: &Step) -> Node {
    let Colour { matrix, offset } = &step.colour;
    let channels = step.mean.len();
    let bias = |(c, row): (usize, &Vec<f64>)| {
        let shift: f64 = row.iter().zip(offset).map(|(m, o)| m * o).sum();
        ((shift - f64::from(step.mean[c])) * f64::from(step.scale[c])) as f32
    };
    let bias = matrix.iter().enumerate().map(bias).collect();
    let (weight, group) = if step.colour.is_diagonal() {
        let weight = (0..channels).map(|c| (matrix[c][c] * f64::from(step.scale[c])) as f32).collect();
        (constant(graph, &format!("{base}_weight"), &[channels, 1, 1, 1], weight), channels)
    } else {
        let row = |(row, s): (&Vec<f64>, &f32)| row.iter().map(|m| (m * f64::from(*s)) as f32).collect::<Vec<_>>();
        let weight = matrix.iter().zip(&step.scale).flat_map(row).collect();
        (constant(graph, &format!("{base}_weight"), &[channels, channels, 1, 1], weight), 1)
    };
    let bias = constant(graph, &format!("{base}_bias"), &[channels], bias);
    let attrs = Attrs::of([("group", Attr::Int(group as i64)), ("kernel_shape", Attr::Ints(vec![1, 1]))]);
    let name = graph.fresh_node_name(base);
    node("Conv", name, &[input, weight, bias], out, attrs)
}

fn add(graph: &mut Graph, base: &str, shape: Vec<usize>) -> ValueId {
    let name = graph.fresh_value_name(base);
    graph.add_value(name, DType::F32, shape)
}

fn constant(graph: &mut Graph, base: &str, shape: &[usize], data: Vec<f32>) -> ValueId {
    let name = graph.fresh_value_name(base);
    let tensor = Tensor::from_f32(shape, data).expect("invariant: one entry a channel");
    graph.add_constant(name, tensor)
}

fn node(op: &str, name: String, inputs: &[ValueId], output: ValueId, attrs: Attrs) -> Node {
    Node {
        name,
        op: op.to_owned(),
        domain: String::new(),
        inputs: inputs.iter().map(|&v| Some(v)).collect(),
        outputs: vec![output],
        attrs,
        covers: Vec::new(),
        fusible_into: None,
    }
}

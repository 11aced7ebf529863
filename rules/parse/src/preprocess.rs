//! Normalization `(x - mean) * scale` as part of the model, so that the model takes raw pixels everywhere.

use ptq_ir::{Attr, Attrs, DType, Diagnostic, Graph, InputSpec, InputType, Layout, Node, Tensor, ValueId};
use std::collections::BTreeMap;

/// Checks every description against its input, and inserts `<input>_preprocess` where it normalizes: a depthwise 1x1
/// Conv (weight = scale, bias = -mean·scale) for NCHW images, Sub and Mul with broadcast constants otherwise.
///
/// # Errors
/// `PARSE07` for each description that does not fit.
pub(crate) fn insert(graph: &mut Graph, specs: &BTreeMap<String, InputSpec>) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut front = Vec::new();
    for id in graph.inputs.clone() {
        let name = graph.value(id).name.clone();
        let Some(spec) = specs.get(&name) else { continue };
        match constants(graph, id, spec) {
            Ok(Some(constants)) => front.extend(nodes(graph, id, &constants)),
            Ok(None) => {}
            Err(why) => problems.push(Diagnostic::error("PARSE07", why).value(name)),
        }
    }
    graph.nodes.splice(0..0, front);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Mean and scale of each channel, the channel axis, and whether it is a batch of NCHW images.
struct Constants {
    mean: Vec<f32>,
    scale: Vec<f32>,
    axis: usize,
    conv: bool,
}

fn constants(graph: &Graph, id: ValueId, spec: &InputSpec) -> Result<Option<Constants>, String> {
    let value = graph.value(id);
    let rank = value.shape.len();
    let axis = match spec.layout_train {
        Layout::Nchw => 1,
        Layout::Nhwc => rank.saturating_sub(1),
    };
    if spec.type_train == InputType::Nv12 {
        return Err("type_train cannot be nv12, only type_rt can; models are trained on full planes".to_owned());
    }
    if let Some(channels) = spec.type_train.channels()
        && (rank != 4 || value.shape[axis] != channels)
    {
        let shape = &value.shape;
        let layout = format!("{:?}", spec.layout_train).to_uppercase();
        return Err(format!("shape {shape:?} is not an image of {channels} channels in {layout}"));
    }
    if !spec.normalizes() {
        return Ok(None);
    }
    if value.dtype != DType::F32 {
        return Err(format!("mean and scale need a float32 input, this one is {}", value.dtype));
    }
    let channels = if rank >= 2 { value.shape[axis] } else { 1 };
    let mean = spread(&spec.mean, 0.0, channels, "mean")?;
    let scale = spread(&spec.scale, 1.0, channels, "scale")?;
    Ok(Some(Constants { mean, scale, axis, conv: rank == 4 && spec.layout_train == Layout::Nchw }))
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
fn nodes(graph: &mut Graph, input: ValueId, constants: &Constants) -> Vec<Node> {
    let value = graph.value(input).clone();
    let base = format!("{}_preprocess", value.name);
    let out_name = graph.fresh_value_name(&format!("{}ed", base));
    let out = graph.add_value(out_name, value.dtype, value.shape.clone());
    for node in &mut graph.nodes {
        node.inputs.iter_mut().flatten().filter(|v| **v == input).for_each(|v| *v = out);
    }
    if constants.conv {
        return vec![conv(graph, input, out, &base, constants)];
    }
    let rank = value.shape.len();
    let mut shape = vec![1; if rank >= 2 { rank - constants.axis } else { 0 }];
    if let Some(first) = shape.first_mut() {
        *first = constants.mean.len();
    }
    let between_name = graph.fresh_value_name(&format!("{base}_centred"));
    let between = graph.add_value(between_name, value.dtype, value.shape);
    let mean = constant(graph, &format!("{base}_mean"), &shape, constants.mean.clone());
    let scale = constant(graph, &format!("{base}_scale"), &shape, constants.scale.clone());
    let sub = graph.fresh_node_name(&format!("{base}_sub"));
    let mul = graph.fresh_node_name(&base);
    vec![
        node("Sub", sub, &[input, mean], between, Attrs::default()),
        node("Mul", mul, &[between, scale], out, Attrs::default()),
    ]
}

fn conv(graph: &mut Graph, input: ValueId, out: ValueId, base: &str, constants: &Constants) -> Node {
    let channels = constants.mean.len();
    // The product of two float32 is exact in float64, so the bias is rounded once.
    let bias = |(m, s): (&f32, &f32)| (-f64::from(*m) * f64::from(*s)) as f32;
    let bias = constants.mean.iter().zip(&constants.scale).map(bias).collect();
    let weight = constant(graph, &format!("{base}_weight"), &[channels, 1, 1, 1], constants.scale.clone());
    let bias = constant(graph, &format!("{base}_bias"), &[channels], bias);
    let attrs = Attrs::of([("group", Attr::Int(channels as i64)), ("kernel_shape", Attr::Ints(vec![1, 1]))]);
    let name = graph.fresh_node_name(base);
    node("Conv", name, &[input, weight, bias], out, attrs)
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

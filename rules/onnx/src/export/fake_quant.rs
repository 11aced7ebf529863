//! The float graph with fake quantization: what calibration decided, as a file that any runtime computes in float.

use super::ExportMeta;
use super::file::OnnxFile;
use super::float::{input_names, start};
use ptq_ir::{
    Attrs, DType, Diagnostic, Graph, Node, QuantParams, QuantTable, Tensor, ValueId, channel_scales, fold_into_weights,
    input_channel_scales,
};
use ptq_kernels::requant::quantize;
use ptq_kernels::{Isa, vectorized};
use std::collections::BTreeMap;

/// Writes a float graph in which every activation of `quant` passes a QuantizeLinear / DequantizeLinear pair and the
/// constants of `weights` are integers behind a DequantizeLinear. (As float constants, ONNX Runtime would quantize them
/// once more by itself, per tensor.) A value keeps its name behind the pair
/// (`<value>_float` before it, `<value>_quantized` inside); behind a model input, the pair ends in
/// `<input>_dequantized`.
///
/// # Errors
/// `EXPORT01` when parameters do not fit their type, `EXPORT02` when a weight does not fit its parameters.
pub fn export_fake_quant(
    graph: &Graph,
    quant: &QuantTable,
    weights: &BTreeMap<ValueId, QuantParams>,
    meta: &ExportMeta,
) -> Result<Vec<u8>, Diagnostic> {
    let graph = &*quant.with_readers(graph);
    let mut file = start(graph);
    let folds = folds(graph, quant);
    for (&id, tensor) in &graph.constants {
        let name = &graph.value(id).name;
        match weights.get(&id) {
            Some(params) => weight(&mut file, name, tensor, params, folds.get(&id))?,
            None => file.constant(name, tensor),
        }
    }
    let mut writer = Writer { graph, quant, file, read_as: BTreeMap::new() };
    for &id in &graph.inputs {
        writer.input(id)?;
    }
    for node in &graph.nodes {
        writer.node(node)?;
    }
    Ok(writer.file.finish(&graph.name, meta))
}

/// Channel scales that are folded into weights: groups and scales, by weight.
fn folds<'a>(graph: &Graph, quant: &'a QuantTable) -> BTreeMap<ValueId, (usize, &'a [f32])> {
    let of = |node: &Node| {
        let scales = input_channel_scales(graph, node, quant)?;
        Some((node.input(1)?, (usize::try_from(node.attrs.int("group", 1)).unwrap_or(0), scales)))
    };
    graph.nodes.iter().filter_map(of).collect()
}

/// A weight as integers behind a DequantizeLinear; folded channel scales are divided out behind that.
fn weight(
    file: &mut OnnxFile,
    name: &str,
    tensor: &Tensor,
    params: &QuantParams,
    fold: Option<&(usize, &[f32])>,
) -> Result<(), Diagnostic> {
    let bad = |why: String| Diagnostic::error("EXPORT02", why).value(name);
    let folded = match fold {
        Some((group, scales)) => &fold_into_weights(tensor, *group, scales).map_err(|e| bad(e.to_string()))?,
        None => tensor,
    };
    let constant = file.fresh_constant(&format!("{name}_quantized"), &integers(folded, params).map_err(bad)?);
    let node = file.fresh_node(&format!("{name}_dequantize"));
    let Some((group, scales)) = fold else { return file.dequantize(&node, &constant, name, params) };
    let between = file.fresh_value(&format!("{name}_folded"));
    file.dequantize(&node, &constant, &between, params)?;
    let mut shape = tensor.shape().to_vec();
    shape.iter_mut().skip(2).for_each(|d| *d = 1);
    let ones = Tensor::from_f32(shape.clone(), vec![1.0; shape.iter().product()]).map_err(|e| bad(e.to_string()))?;
    let divisor = fold_into_weights(&ones, *group, scales).map_err(|e| bad(e.to_string()))?;
    let divisor = file.fresh_constant(&format!("{name}_channel_scales"), &divisor);
    let node = file.fresh_node(&format!("{name}_unfold"));
    file.node("Div", &node, &[between, divisor], &[name.to_owned()], &Attrs::default());
    Ok(())
}

struct Writer<'a> {
    graph: &'a Graph,
    quant: &'a QuantTable,
    file: OnnxFile,
    /// What a reader of a model input reads instead.
    read_as: BTreeMap<String, String>,
}

impl<'a> Writer<'a> {
    fn params(&self, value: &str) -> Option<&'a QuantParams> {
        self.quant.activations.get(value).map(|a| &a.params)
    }

    fn input(&mut self, id: ValueId) -> Result<(), Diagnostic> {
        let name = &self.graph.value(id).name;
        if let Some(params) = self.params(name) {
            let to = self.file.fresh_value(&format!("{name}_dequantized"));
            self.pair(name, name, &to, params)?;
            self.read_as.insert(name.clone(), to);
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), Diagnostic> {
        let mut inputs = input_names(self.graph, node);
        for name in &mut inputs {
            if let Some(to) = self.read_as.get(name) {
                name.clone_from(to);
            }
        }
        let mut outputs = Vec::with_capacity(node.outputs.len());
        let mut pairs = Vec::new();
        for &id in &node.outputs {
            let name = &self.graph.value(id).name;
            outputs.push(match self.params(name) {
                Some(params) => {
                    let from = self.file.fresh_value(&format!("{name}_float"));
                    pairs.push((name, from.clone(), params));
                    from
                }
                None => name.clone(),
            });
        }
        self.file.node_of(&node.domain, &node.op, &node.name, &inputs, &outputs, &node.attrs);
        pairs.into_iter().try_for_each(|(name, from, params)| self.pair(name, &from, name, params))
    }

    /// A QuantizeLinear / DequantizeLinear pair for `value`.
    fn pair(&mut self, value: &str, from: &str, to: &str, params: &QuantParams) -> Result<(), Diagnostic> {
        let Some(scales) = channel_scales(params) else { return self.unit_pair(value, from, to, params) };
        // ONNX Runtime fuses a pair with one scale a channel into a QLinearConv that takes only one.
        let rank = self.graph.find_value(value).map_or(2, |v| self.graph.value(v).shape.len()).max(2);
        let mut shape = vec![1; rank];
        shape[1] = scales.len();
        let misfit = |e: ptq_ir::TensorError| Diagnostic::error("EXPORT01", e.to_string()).value(value);
        let scales = Tensor::from_f32(shape, scales.to_vec()).map_err(misfit)?;
        let scales = self.file.fresh_constant(&format!("{value}_channel_scales"), &scales);
        let (units, back) = (format!("{value}_in_steps"), format!("{value}_in_steps_again"));
        let (units, back) = (self.file.fresh_value(&units), self.file.fresh_value(&back));
        let divide = self.file.fresh_node(&format!("{value}_divide"));
        self.file.node(
            "Div",
            &divide,
            &[from.to_owned(), scales.clone()],
            std::slice::from_ref(&units),
            &Attrs::default(),
        );
        let unit = QuantParams::per_tensor(params.dtype, 1.0, params.zero_point0());
        self.unit_pair(value, &units, &back, &unit)?;
        let multiply = self.file.fresh_node(&format!("{value}_multiply"));
        self.file.node("Mul", &multiply, &[back, scales], &[to.to_owned()], &Attrs::default());
        Ok(())
    }

    /// A pair with one scale for the whole tensor.
    fn unit_pair(&mut self, value: &str, from: &str, to: &str, params: &QuantParams) -> Result<(), Diagnostic> {
        let integer = self.file.fresh_value(&format!("{value}_quantized"));
        let quantize = self.file.fresh_node(&format!("{value}_quantize"));
        self.file.quantize(&quantize, from, &integer, params)?;
        let dequantize = self.file.fresh_node(&format!("{value}_dequantize"));
        self.file.dequantize(&dequantize, &integer, to, params)
    }
}

/// `clamp(round_half_even(w / s), -127, 127)` for each element, with the scale of its channel; symmetric, so -128 is not
/// used.
fn integers(w: &Tensor, params: &QuantParams) -> Result<Tensor, String> {
    let data = w.f32s().map_err(|e| e.to_string())?;
    if params.dtype != DType::I8 {
        return Err(format!("int8 weights are expected, found {}", params.dtype));
    }
    let (channels, inner) = match params.axis {
        None => (1, data.len()),
        Some(axis) if axis < w.shape().len() => (w.shape()[axis], w.shape()[axis + 1..].iter().product::<usize>()),
        Some(axis) => return Err(format!("axis {axis} is outside {:?}", w.shape())),
    };
    if params.scale.len() != channels || params.zero_point.iter().any(|&z| z != 0) {
        return Err(format!("{} symmetric scales are expected, found {}", channels, params.scale.len()));
    }
    let mut q = vec![0i8; data.len()];
    vectorized(Isa::best(), || {
        let runs = data.chunks(inner.max(1)).zip(q.chunks_mut(inner.max(1)));
        for ((w, q), &scale) in runs.zip(params.scale.iter().cycle()) {
            w.iter().zip(q).for_each(|(&w, q)| *q = quantize(w, scale, 0, -127, 127) as i8);
        }
    });
    Tensor::from_i8(w.shape(), q).map_err(|e| e.to_string())
}

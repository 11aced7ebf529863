//! The float graph with fake quantization: what calibration decided, as a file that any runtime computes in float.

use super::ExportMeta;
use super::file::OnnxFile;
use super::float::{input_names, start};
use ptq_ir::{DType, Diagnostic, Graph, Node, QuantParams, QuantTable, Tensor, ValueId};
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
    let mut file = start(graph);
    for (&id, tensor) in &graph.constants {
        let name = &graph.value(id).name;
        match weights.get(&id) {
            Some(params) => {
                let integers =
                    integers(tensor, params).map_err(|why| Diagnostic::error("EXPORT02", why).value(name))?;
                let constant = file.fresh_constant(&format!("{name}_quantized"), &integers);
                let node = file.fresh_node(&format!("{name}_dequantize"));
                file.dequantize(&node, &constant, name, params)?;
            }
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
        None => (1, 1),
        Some(axis) if axis < w.shape().len() => (w.shape()[axis], w.shape()[axis + 1..].iter().product::<usize>()),
        Some(axis) => return Err(format!("axis {axis} is outside {:?}", w.shape())),
    };
    if params.scale.len() != channels || params.zero_point.iter().any(|&z| z != 0) {
        return Err(format!("{} symmetric scales are expected, found {}", channels, params.scale.len()));
    }
    let integer = |(i, &v): (usize, &f32)| {
        let s = params.scale[(i / inner.max(1)) % channels];
        (v / s).round_ties_even().clamp(-127.0, 127.0) as i8
    };
    Tensor::from_i8(w.shape(), data.iter().enumerate().map(integer).collect()).map_err(|e| e.to_string())
}

//! The float graph with fake quantization: what calibration decided, as a file that any runtime computes in float.

use super::ExportMeta;
use super::float::{input_names, start};
use ptq_ir::{Diagnostic, Graph, QuantParams, QuantTable, Tensor, ValueId};
use std::collections::BTreeMap;

/// Writes a float graph in which every activation of `quant` passes a QuantizeLinear / DequantizeLinear pair and the
/// constants of `weights` have the values that their integers stand for. A value keeps its name behind the pair
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
                let fake =
                    fake_weights(tensor, params).map_err(|why| Diagnostic::error("EXPORT02", why).value(name))?;
                file.constant(name, &fake);
            }
            None => file.constant(name, tensor),
        }
    }
    let params = |id: ValueId| quant.activations.get(&graph.value(id).name).map(|a| &a.params);
    // What a reader of each value reads instead.
    let mut read_as: BTreeMap<String, String> = BTreeMap::new();
    let pair = |file: &mut super::file::OnnxFile, value: &str, from: &str, to: &str, p: &QuantParams| {
        let integer = file.fresh_value(&format!("{value}_quantized"));
        let quantize = file.fresh_node(&format!("{value}_quantize"));
        file.quantize(&quantize, from, &integer, p)?;
        let dequantize = file.fresh_node(&format!("{value}_dequantize"));
        file.dequantize(&dequantize, &integer, to, p)
    };
    for &id in &graph.inputs {
        if let Some(p) = params(id) {
            let name = &graph.value(id).name;
            let to = file.fresh_value(&format!("{name}_dequantized"));
            pair(&mut file, name, name, &to, p)?;
            read_as.insert(name.clone(), to);
        }
    }
    for node in &graph.nodes {
        let inputs: Vec<String> =
            input_names(graph, node).into_iter().map(|n| read_as.get(&n).cloned().unwrap_or(n)).collect();
        let mut outputs = Vec::with_capacity(node.outputs.len());
        let mut pairs = Vec::new();
        for &id in &node.outputs {
            let name = &graph.value(id).name;
            match params(id) {
                Some(p) => {
                    let from = file.fresh_value(&format!("{name}_float"));
                    outputs.push(from.clone());
                    pairs.push((name, from, p));
                }
                None => outputs.push(name.clone()),
            }
        }
        file.node_of(&node.domain, &node.op, &node.name, &inputs, &outputs, &node.attrs);
        for (name, from, p) in pairs {
            pair(&mut file, name, &from, name, p)?;
        }
    }
    Ok(file.finish(&graph.name, meta))
}

/// `clamp(round_half_even(w / s), -reach, reach) · s` for each element, with the scale of its channel; the reach is the
/// type's largest value, so that integers stay symmetric.
fn fake_weights(w: &Tensor, params: &QuantParams) -> Result<Tensor, String> {
    let data = w.f32s().map_err(|e| e.to_string())?;
    let (_, reach) = params.dtype.quant_range().ok_or_else(|| format!("{} carries no scale", params.dtype))?;
    let reach = reach as f32;
    let (channels, inner) = match params.axis {
        None => (1, 1),
        Some(axis) if axis < w.shape().len() => (w.shape()[axis], w.shape()[axis + 1..].iter().product::<usize>()),
        Some(axis) => return Err(format!("axis {axis} is outside {:?}", w.shape())),
    };
    if params.scale.len() != channels || params.zero_point.iter().any(|&z| z != 0) {
        return Err(format!("{} symmetric scales are expected, found {}", channels, params.scale.len()));
    }
    let fake = |(i, &v): (usize, &f32)| {
        let s = params.scale[(i / inner.max(1)) % channels];
        (v / s).round_ties_even().clamp(-reach, reach) * s
    };
    Tensor::from_f32(w.shape(), data.iter().enumerate().map(fake).collect()).map_err(|e| e.to_string())
}

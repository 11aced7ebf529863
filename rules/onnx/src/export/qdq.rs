//! The integer program as an ONNX file in QDQ form, placed so that ONNX Runtime's integer kernels fire.
//!
//! Every integer tensor is the output of a QuantizeLinear under its own name; every reader has a DequantizeLinear of
//! its own, which is what ONNX Runtime's selectors ask for. An int32 accumulator (a tail convolution) has no integer
//! form in ONNX: it appears as the float tensor that its Dequantize makes. Where it is itself an output of the model, that
//! tensor is divided by its scales and rounded.

mod conv;
mod moves;
mod pool;
mod reduce;

use super::ExportMeta;
use super::file::OnnxFile;
use ptq_ir::ops::BlockOrder;
use ptq_ir::{
    Activation, Attr, Attrs, DType, Diagnostic, QGraph, QNode, QOp, QTensor, QuantParams, Tensor, TensorId,
    channel_scales,
};
use std::collections::{BTreeMap, BTreeSet};

/// Writes an integer program.
///
/// # Errors
/// `EXPORT01` or `EXPORT03`, naming the node, when the program lacks what ONNX needs (parameters of an integer tensor).
pub fn export_qdq(graph: &QGraph, meta: &ExportMeta) -> Result<Vec<u8>, Diagnostic> {
    let values = graph.tensors.iter().map(|t| t.name.as_str());
    let mut file = OnnxFile::new(values, graph.nodes.iter().map(|n| n.name.as_str()));
    let mut turned = BTreeMap::new();
    for &id in &graph.inputs {
        let t = graph.tensor(id);
        match t.shape.as_slice() {
            &[n, c, h, w] if meta.channels_last.contains(&t.source) => {
                file.input(&t.name, t.dtype, &[n, h, w, c]);
                let planes = file.fresh_value(&format!("{}_planes", t.name));
                let node = file.fresh_node(&format!("{}_to_planes", t.name));
                let perm = Attrs::of([("perm", Attr::Ints(vec![0, 3, 1, 2]))]);
                file.node("Transpose", &node, std::slice::from_ref(&t.name), std::slice::from_ref(&planes), &perm);
                turned.insert(id, planes);
            }
            shape => file.input(&t.name, t.dtype, shape),
        }
    }
    for &id in &graph.outputs {
        let t = graph.tensor(id);
        file.output(&t.name, t.dtype, &t.shape);
    }
    let accumulators = accumulators(graph, &mut file);
    let mut writer = Writer { graph, file, accumulators, turned, written: BTreeSet::new() };
    for node in &graph.nodes {
        writer.node(node)?;
    }
    for &id in &graph.outputs {
        writer.name(id);
        writer.bare_accumulator(id)?;
    }
    let mut meta = meta.clone();
    for tensor in graph.inputs.iter().chain(&graph.outputs).map(|&id| graph.tensor(id)) {
        if let Some(text) = tensor.quant.as_ref().and_then(|params| serde_json::to_string(params).ok()) {
            meta.metadata.insert(format!("{}{}", crate::PORT_METADATA, tensor.name), text);
        }
    }
    Ok(writer.file.finish(&graph.name, &meta))
}

/// Name of the float tensor that stands for each int32 accumulator.
fn accumulators(graph: &QGraph, file: &mut OnnxFile) -> BTreeMap<TensorId, String> {
    let mut out = BTreeMap::new();
    for node in &graph.nodes {
        match node.op {
            QOp::Float { .. } | QOp::Quantize => {}
            QOp::Dequantize => {
                let (Some(from), Some(to)) = (node.inputs.first(), node.outputs.first()) else { continue };
                if let Some(name @ None) = out.get_mut(from) {
                    *name = Some(graph.tensor(*to).name.clone());
                }
            }
            _ => {
                for &id in node.outputs.iter().filter(|&&id| graph.tensor(id).dtype == DType::I32) {
                    out.insert(id, None);
                }
            }
        }
    }
    out.into_iter()
        .map(|(id, name)| {
            let name = name.unwrap_or_else(|| file.fresh_value(&format!("{}_float", graph.tensor(id).name)));
            (id, name)
        })
        .collect()
}

struct Writer<'a> {
    graph: &'a QGraph,
    file: OnnxFile,
    accumulators: BTreeMap<TensorId, String>,
    /// Channels-first form of the inputs that are channels-last in the file.
    turned: BTreeMap<TensorId, String>,
    written: BTreeSet<TensorId>,
}

impl<'a> Writer<'a> {
    fn bad(&self, node: &QNode, why: impl Into<String>) -> Diagnostic {
        Diagnostic::error("EXPORT03", format!("{}: {}", node.op.name(), why.into())).node(&node.name)
    }

    fn tensor(&self, node: &QNode, ids: &[TensorId], i: usize) -> Result<(TensorId, &'a QTensor), Diagnostic> {
        let id = ids.get(i).copied().ok_or_else(|| self.bad(node, format!("tensor {i} is missing")))?;
        Ok((id, self.graph.tensor(id)))
    }

    /// Name of a tensor; its data becomes an initializer when it is constant.
    fn name(&mut self, id: TensorId) -> String {
        if let Some(planes) = self.turned.get(&id) {
            return planes.clone();
        }
        let tensor = self.graph.tensor(id);
        if let Some(data) = &tensor.data
            && self.written.insert(id)
        {
            self.file.constant(&tensor.name, data);
        }
        tensor.name.clone()
    }

    /// Name of input `i` as a float tensor: dequantized for this reader.
    fn read(&mut self, node: &QNode, i: usize) -> Result<String, Diagnostic> {
        let (id, tensor) = self.tensor(node, &node.inputs, i)?;
        if let Some(name) = self.accumulators.get(&id) {
            return Ok(name.clone());
        }
        let name = self.name(id);
        if tensor.dtype.is_float() {
            return Ok(name);
        }
        let params = self.params(node, tensor)?;
        self.read_as(node, i, &params)
    }

    /// An output of the model that is an accumulator: `round(y / scale) - zero point` is kept as int32.
    fn bare_accumulator(&mut self, id: TensorId) -> Result<(), Diagnostic> {
        let Some(real) = self.accumulators.get(&id).cloned() else { return Ok(()) };
        let tensor = self.graph.tensor(id);
        let bad = |why: &str| Diagnostic::error("EXPORT03", why.to_owned()).value(&tensor.name);
        let params = tensor.quant.as_ref().ok_or_else(|| bad("has no scale"))?;
        if params.zero_point.iter().any(|&z| z != 0) {
            return Err(bad("an accumulator has a zero point"));
        }
        let shape: Vec<usize> = match params.axis {
            Some(axis) => (0..tensor.shape.len()).map(|i| if i == axis { params.scale.len() } else { 1 }).collect(),
            None => Vec::new(),
        };
        let scale = Tensor::from_f32(shape, params.scale.clone()).map_err(|e| bad(&e.to_string()))?;
        let scale = self.file.fresh_constant(&format!("{}_scale", tensor.name), &scale);
        let quotient = self.file.fresh_value(&format!("{}_quotient", tensor.name));
        let rounded = self.file.fresh_value(&format!("{}_rounded", tensor.name));
        let to = Attrs::of([("to", Attr::Int(tensor.dtype.onnx().into()))]);
        let steps = [
            ("Div", vec![real, scale], &quotient, Attrs::default()),
            ("Round", vec![quotient.clone()], &rounded, Attrs::default()),
            ("Cast", vec![rounded.clone()], &tensor.name, to),
        ];
        for (op, inputs, output, attrs) in steps {
            let node = self.file.fresh_node(&format!("{}_{}", tensor.name, op.to_lowercase()));
            self.file.node(op, &node, &inputs, std::slice::from_ref(output), &attrs);
        }
        Ok(())
    }

    /// Parameters of a tensor in the file. A feature map with one scale a channel has scale 1 there: the scales are part
    /// of the weights in front of it and behind it, which is the form that integer kernels take.
    fn params(&self, node: &QNode, tensor: &QTensor) -> Result<QuantParams, Diagnostic> {
        let params = tensor.quant.as_ref().ok_or_else(|| self.bad(node, format!("{} has no scale", tensor.name)))?;
        let folded = tensor.data.is_none() && tensor.dtype != DType::I32 && channel_scales(params).is_some();
        let unit = || QuantParams::per_tensor(params.dtype, 1.0, params.zero_point0());
        Ok(if folded { unit() } else { params.clone() })
    }

    /// Input `i` dequantized with these parameters.
    fn read_as(&mut self, node: &QNode, i: usize, params: &QuantParams) -> Result<String, Diagnostic> {
        let (id, _) = self.tensor(node, &node.inputs, i)?;
        let name = self.name(id);
        let out = self.file.fresh_value(&format!("{}_input_{i}", node.name));
        let dequantize = self.file.fresh_node(&format!("{}_dequantize_{i}", node.name));
        self.file.dequantize(&dequantize, &name, &out, params)?;
        Ok(out)
    }

    /// Writes a node with one output: the operator, its activation, its QuantizeLinear.
    fn write(
        &mut self,
        node: &QNode,
        op: &str,
        inputs: &[String],
        attrs: &Attrs,
        activation: Activation,
    ) -> Result<(), Diagnostic> {
        let (id, out) = self.tensor(node, &node.outputs, 0)?;
        let integer = !out.dtype.is_float() && !self.accumulators.contains_key(&id);
        let last = match self.accumulators.get(&id) {
            Some(name) => name.clone(),
            None if integer => self.file.fresh_value(&format!("{}_float", node.name)),
            None => out.name.clone(),
        };
        let act = match activation {
            Activation::None => None,
            _ => Some(self.file.fresh_value(&format!("{}_before_activation", node.name))),
        };
        let direct = act.clone().unwrap_or_else(|| last.clone());
        self.file.node(op, &node.name, inputs, std::slice::from_ref(&direct), attrs);
        if act.is_some() {
            self.activation(node, activation, &direct, &last);
        }
        if integer {
            let params = self.params(node, out)?;
            let quantize = self.file.fresh_node(&format!("{}_quantize", node.name));
            self.file.quantize(&quantize, &last, &out.name, &params)?;
        }
        Ok(())
    }

    fn activation(&mut self, node: &QNode, activation: Activation, from: &str, to: &str) {
        let name = self.file.fresh_node(&format!("{}_activation", node.name));
        let mut inputs = vec![from.to_owned()];
        let op = match activation {
            Activation::Clip { min, max } => {
                for (bound, what) in [(min, "min"), (max, "max")] {
                    inputs.push(match bound.is_finite() {
                        true => self.file.fresh_constant(&format!("{name}_{what}"), &Tensor::scalar_f32(bound)),
                        false => String::new(),
                    });
                }
                "Clip"
            }
            _ => "Relu",
        };
        self.file.node(op, &name, &inputs, &[to.to_owned()], &Attrs::default());
    }

    fn node(&mut self, node: &QNode) -> Result<(), Diagnostic> {
        match &node.op {
            QOp::Float { op, domain, attrs, present } => self.float(node, op, domain, attrs, present),
            QOp::Quantize => self.quantize(node),
            QOp::Dequantize => self.dequantize(node),
            QOp::Conv(conv) => self.conv(node, conv),
            QOp::Add(add) => self.plain(node, node.op.name(), &Attrs::default(), add.activation),
            QOp::Mul(_) | QOp::Extreme(_) | QOp::Div(_) | QOp::MatMul(_) => {
                self.plain(node, node.op.name(), &Attrs::default(), Activation::None)
            }
            QOp::Reduce(reduce) => self.reduce(node, reduce),
            QOp::Softmax(softmax) => {
                let attrs = Attrs::of([("axis", Attr::Int(softmax.axis as i64))]);
                self.plain(node, "Softmax", &attrs, Activation::None)
            }
            QOp::Gather { axis, indices } => self.gather(node, *axis, indices),
            QOp::Pad { before, value } => self.pad(node, before, *value),
            QOp::Concat(concat) => {
                let attrs = Attrs::of([("axis", Attr::Int(concat.axis as i64))]);
                self.plain(node, "Concat", &attrs, Activation::None)
            }
            QOp::AveragePool(pool) => self.average_pool(node, pool),
            QOp::MaxPool(geom) => self.max_pool(node, geom),
            QOp::Lut(lut) => self.lut(node, lut),
            QOp::Resize(resize) => self.resize(node, resize),
            QOp::LinearResize(resize) => self.linear_resize(node, resize),
            QOp::DepthToSpace(block) => {
                let mode = if block.order == BlockOrder::Crd { "CRD" } else { "DCR" };
                let attrs = [("blocksize", Attr::Int(block.block as i64)), ("mode", Attr::Str(mode.to_owned()))];
                self.plain(node, "DepthToSpace", &Attrs::of(attrs), Activation::None)
            }
            // Another scale is all: a QuantizeLinear of what a DequantizeLinear gives.
            QOp::Requantize(_) => self.requantize(node),
            QOp::SpaceToDepth { block } => {
                let attrs = Attrs::of([("blocksize", Attr::Int(*block as i64))]);
                self.plain(node, "SpaceToDepth", &attrs, Activation::None)
            }
            QOp::Slice { starts } => self.slice(node, starts),
            QOp::Reshape => self.reshape(node),
            QOp::Transpose { perm } => {
                let perm = Attr::Ints(perm.iter().map(|&p| p as i64).collect());
                self.plain(node, "Transpose", &Attrs::of([("perm", perm)]), Activation::None)
            }
        }
    }

    /// A node that reads all its inputs dequantized.
    fn plain(&mut self, node: &QNode, op: &str, attrs: &Attrs, activation: Activation) -> Result<(), Diagnostic> {
        let inputs = (0..node.inputs.len()).map(|i| self.read(node, i)).collect::<Result<Vec<_>, _>>()?;
        self.write(node, op, &inputs, attrs, activation)
    }

    fn float(
        &mut self,
        node: &QNode,
        op: &str,
        domain: &str,
        attrs: &Attrs,
        present: &[bool],
    ) -> Result<(), Diagnostic> {
        let mut given = node.inputs.iter();
        let mut inputs = Vec::with_capacity(present.len());
        for &is in present {
            inputs.push(match is.then(|| given.next()) {
                None => String::new(),
                Some(Some(&id)) => self.name(id),
                Some(None) => return Err(self.bad(node, "an input is missing")),
            });
        }
        let outputs: Vec<String> = node.outputs.iter().map(|&id| self.graph.tensor(id).name.clone()).collect();
        self.file.node_of(domain, op, &node.name, &inputs, &outputs, attrs);
        Ok(())
    }

    fn quantize(&mut self, node: &QNode) -> Result<(), Diagnostic> {
        let (from, _) = self.tensor(node, &node.inputs, 0)?;
        let (_, to) = self.tensor(node, &node.outputs, 0)?;
        let params = to.quant.as_ref().ok_or_else(|| self.bad(node, format!("{} has no scale", to.name)))?;
        let from = self.name(from);
        self.file.quantize(&node.name, &from, &to.name, params)
    }

    fn requantize(&mut self, node: &QNode) -> Result<(), Diagnostic> {
        let from = self.read(node, 0)?;
        let (_, to) = self.tensor(node, &node.outputs, 0)?;
        let params = self.params(node, to)?;
        self.file.quantize(&node.name, &from, &to.name, &params)
    }

    fn dequantize(&mut self, node: &QNode) -> Result<(), Diagnostic> {
        let (from, tensor) = self.tensor(node, &node.inputs, 0)?;
        let (_, to) = self.tensor(node, &node.outputs, 0)?;
        match self.accumulators.get(&from).cloned() {
            Some(name) if name == to.name => Ok(()),
            Some(name) => {
                self.file.node("Identity", &node.name, &[name], std::slice::from_ref(&to.name), &Attrs::default());
                Ok(())
            }
            None => {
                let params = tensor.quant.as_ref();
                let params = params.ok_or_else(|| self.bad(node, format!("{} has no scale", tensor.name)))?;
                let from = self.name(from);
                self.file.dequantize(&node.name, &from, &to.name, params)
            }
        }
    }
}

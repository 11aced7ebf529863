//! The program under construction: tensors, borders, nodes waiting for their place, segments. Lowering code fills it.

use crate::constants::{Factor, requant};
use ptq_ir::{
    Attr, Attrs, DType, Device, Diagnostic, Graph, NodeId, QGraph, QNode, QOp, QRequantize, QTensor, QuantParams,
    QuantTable, Segment, SegmentId, Tensor, TensorId, ValueId, border_name,
};
use ptq_march::March;
use ptq_place::{Placement, absorbed_output};
use std::collections::{BTreeMap, BTreeSet};

/// A node waiting for its place: level, order within the level, component, original position.
type Slot = (u32, Phase, u32, usize);

/// Order within one CPU level: results of the BPU come in, float nodes run, inputs of the BPU go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Dequantize,
    Compute,
    Quantize,
}

/// The program under construction; lowering code asks it for tensors.
pub(crate) struct Builder<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) march: &'a March,
    placement: &'a Placement,
    pub(crate) quant: &'a QuantTable,
    tensors: Vec<QTensor>,
    slots: Vec<(Slot, Option<u32>, QNode)>,
    float: BTreeMap<ValueId, TensorId>,
    integer: BTreeMap<ValueId, TensorId>,
    /// Level at which an integer value is made.
    made_at: BTreeMap<ValueId, u32>,
    /// Position of the quantize border of a value, to move it to an earlier level when a second reader needs it.
    quantized_at: BTreeMap<ValueId, usize>,
    /// Model inputs and outputs that carry integers.
    bare: &'a BTreeSet<ValueId>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        graph: &'a Graph,
        march: &'a March,
        placement: &'a Placement,
        quant: &'a QuantTable,
        bare: &'a BTreeSet<ValueId>,
    ) -> Builder<'a> {
        Builder {
            graph,
            march,
            placement,
            quant,
            tensors: Vec::new(),
            slots: Vec::new(),
            float: BTreeMap::new(),
            integer: BTreeMap::new(),
            made_at: BTreeMap::new(),
            quantized_at: BTreeMap::new(),
            bare,
        }
    }

    /// Level of a node.
    pub(crate) fn level(&self, id: NodeId) -> u32 {
        self.placement.nodes[id.0 as usize].level
    }

    /// The value that a node's integer result stands for.
    pub(crate) fn result(&self, id: NodeId) -> Result<ValueId, Diagnostic> {
        absorbed_output(self.graph, self.placement, id)
            .ok_or_else(|| Diagnostic::error("PART03", "has no output").node(&self.graph.node(id).name))
    }

    /// Name of the activation node that `id` absorbs, with its position.
    pub(crate) fn absorbed(&self, id: NodeId) -> Option<NodeId> {
        let name = self.graph.node(id).name.as_str();
        self.placement.nodes.iter().position(|p| p.absorbed_by.as_deref() == Some(name)).map(|i| NodeId(i as u32))
    }

    /// Adds a float node; its integer inputs are dequantized in front of it.
    pub(crate) fn cpu_node(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let level = self.level(id);
        let mut inputs = Vec::new();
        for &v in node.inputs.iter().flatten() {
            inputs.push(self.float_tensor(v));
        }
        let outputs = node.outputs.iter().map(|&v| self.float_home(v)).collect();
        let op = QOp::Float {
            op: node.op.clone(),
            domain: node.domain.clone(),
            attrs: node.attrs.clone(),
            present: node.inputs.iter().map(Option::is_some).collect(),
        };
        let covers = vec![node.name.clone()];
        self.push((level, Phase::Compute, 0, id.0 as usize), None, &node.name, op, inputs, outputs, covers);
    }

    /// Adds an accelerated node whose result is `result`.
    pub(crate) fn bpu_node(&mut self, id: NodeId, op: QOp, inputs: Vec<TensorId>, result: ValueId, output: TensorId) {
        self.bpu_part(id, 0, op, inputs, result, output);
    }

    /// Adds what makes output `part` of an accelerated node that becomes one node for each output. The first has the
    /// node's name and covers it.
    pub(crate) fn bpu_part(
        &mut self,
        id: NodeId,
        part: usize,
        op: QOp,
        inputs: Vec<TensorId>,
        result: ValueId,
        output: TensorId,
    ) {
        let (row, node) = (&self.placement.nodes[id.0 as usize], &self.graph.node(id).name);
        let (name, covers) = if part == 0 {
            let mut covers = vec![node.clone()];
            covers.extend(self.absorbed(id).map(|a| self.graph.node(a).name.clone()));
            (node.clone(), covers)
        } else {
            (self.free_node_name(&format!("{node}_part_{part}")), Vec::new())
        };
        let subgraph = row.subgraph;
        let slot = (row.level, Phase::Compute, subgraph.unwrap_or(0), id.0 as usize);
        self.made_at.insert(result, row.level);
        self.push(slot, subgraph, &name, op, inputs, vec![output], covers);
    }

    /// Adds a step of an accelerated node that becomes several, in front of what [`Builder::bpu_node`] adds for it; gives its result,
    /// which stands for no value of the graph.
    pub(crate) fn inner(
        &mut self,
        id: NodeId,
        what: &str,
        op: QOp,
        inputs: Vec<TensorId>,
        shape: &[usize],
        params: &QuantParams,
    ) -> TensorId {
        let (row, node) = (&self.placement.nodes[id.0 as usize], &self.graph.node(id).name);
        let (subgraph, slot) = (row.subgraph, (row.level, Phase::Compute, row.subgraph.unwrap_or(0), id.0 as usize));
        let name = self.free_node_name(&format!("{node}_{what}"));
        let tensor = self.free_tensor_name(&format!("{name}_quantized"));
        let t = self.add_tensor(QTensor {
            name: tensor.clone(),
            source: tensor,
            shape: shape.to_vec(),
            dtype: params.dtype,
            quant: Some(params.clone()),
            data: None,
        });
        self.push(slot, subgraph, &name, op, inputs, vec![t], Vec::new());
        t
    }

    /// Says that tensor `t` stands for the same value of the graph as tensor `like`.
    pub(crate) fn stands_for(&mut self, t: TensorId, like: TensorId) {
        self.tensors[t.0 as usize].source = self.tensors[like.0 as usize].source.clone();
    }

    /// `base`, or with a number behind it where the program or the graph has a tensor of this name.
    fn free_tensor_name(&self, base: &str) -> String {
        let taken = |name: &str| {
            self.tensors.iter().any(|t| t.name == name) || self.graph.values.iter().any(|v| v.name == name)
        };
        let mut name = base.to_owned();
        let mut n = 2;
        while taken(&name) {
            name = format!("{base}_{n}");
            n += 1;
        }
        name
    }

    /// `base`, or with a number behind it where the graph has a node of this name.
    fn free_node_name(&self, base: &str) -> String {
        let taken = |name: &str| self.graph.find_node(name).is_some();
        let mut name = base.to_owned();
        let mut n = 2;
        while taken(&name) {
            name = format!("{base}_{n}");
            n += 1;
        }
        name
    }

    #[allow(clippy::too_many_arguments)]
    fn push(
        &mut self,
        slot: Slot,
        subgraph: Option<u32>,
        name: &str,
        op: QOp,
        inputs: Vec<TensorId>,
        outputs: Vec<TensorId>,
        covers: Vec<String>,
    ) {
        let node = QNode { name: name.to_owned(), op, inputs, outputs, segment: SegmentId(0), covers };
        self.slots.push((slot, subgraph, node));
    }

    fn add_tensor(&mut self, tensor: QTensor) -> TensorId {
        let id = TensorId(self.tensors.len() as u32);
        self.tensors.push(tensor);
        id
    }

    /// The float tensor that stands for a value, made on first use.
    fn float_home(&mut self, v: ValueId) -> TensorId {
        if let Some(&t) = self.float.get(&v) {
            return t;
        }
        let value = self.graph.value(v);
        let t = self.add_tensor(QTensor {
            name: value.name.clone(),
            source: value.name.clone(),
            shape: value.shape.clone(),
            dtype: value.dtype,
            quant: None,
            data: self.graph.constant(v).cloned(),
        });
        self.float.insert(v, t);
        t
    }

    /// The float tensor of a value that a CPU node reads; dequantizes an integer one.
    fn float_tensor(&mut self, v: ValueId) -> TensorId {
        let known = self.float.contains_key(&v);
        let t = self.float_home(v);
        if let (false, Some(&q)) = (known, self.integer.get(&v)) {
            let level = self.made_at.get(&v).copied().unwrap_or(0) + 1;
            let name = border_name("Dequantize", &self.graph.value(v).name);
            let slot = (level, Phase::Dequantize, 0, v.0 as usize);
            let real = self.real_home(v, t);
            self.push(slot, None, &name, QOp::Dequantize, vec![q], vec![real], Vec::new());
            if real != t {
                let name = self.free_node_name(&format!("{}_cast", self.graph.value(v).name));
                self.push(slot, None, &name, cast(self.graph.value(v).dtype), vec![real], vec![t], Vec::new());
            }
        }
        t
    }

    /// Where a value is dequantized to: its float tensor `t`; for an integer value another one, which is cast.
    fn real_home(&mut self, v: ValueId, t: TensorId) -> TensorId {
        let value = self.graph.value(v);
        if value.dtype.is_float() {
            return t;
        }
        let name = self.free_tensor_name(&format!("{}_float", value.name));
        let (source, shape) = (name.clone(), value.shape.clone());
        self.add_tensor(QTensor { name, source, shape, dtype: DType::F32, quant: None, data: None })
    }

    /// The integer tensor of a value that a BPU node at `level` reads; quantizes a float one just before.
    pub(crate) fn integer_tensor(&mut self, v: ValueId, level: u32) -> Result<TensorId, Diagnostic> {
        if let Some(&q) = self.integer.get(&v) {
            if let Some(&at) = self.quantized_at.get(&v) {
                let slot = &mut self.slots[at].0;
                slot.0 = slot.0.min(level - 1);
            }
            return Ok(q);
        }
        let params = self.params(v)?;
        let q = self.integer_home(v, params);
        if self.bare.contains(&v) {
            return Ok(q);
        }
        let from = self.float_home(v);
        let name = border_name("Quantize", &self.graph.value(v).name);
        self.quantized_at.insert(v, self.slots.len());
        let slot = (level.saturating_sub(1), Phase::Quantize, 0, v.0 as usize);
        self.push(slot, None, &name, QOp::Quantize, vec![from], vec![q], Vec::new());
        Ok(q)
    }

    /// Whether a node reads or gives 16 bits.
    pub(crate) fn has_words(&self, id: NodeId) -> bool {
        let row = &self.placement.nodes[id.0 as usize];
        row.int16_output || !row.int16_inputs.is_empty()
    }

    /// The integer tensor of a value as node `id` reads it: requantized in front of the node where that has other parameters.
    pub(crate) fn read(&mut self, id: NodeId, v: ValueId, level: u32) -> Result<TensorId, Diagnostic> {
        let own = self.integer_tensor(v, level)?;
        let (reader, value) = (&self.graph.node(id).name, &self.graph.value(v).name);
        let Some(to) = self.quant.reread(value, reader).map(|a| a.params.clone()) else { return Ok(own) };
        let from = self.tensor_params(own);
        if from == to {
            return Ok(own);
        }
        let factor = Factor::ratio(from.scale0(), to.scale0());
        let requant = requant(self.march.quantization.rounding, &[factor]);
        let op = QOp::Requantize(QRequantize { requant, out_zero: to.zero_point0() });
        let key = QuantTable::reader_key(value, reader);
        let name = self.free_node_name(&format!("{value}_requantize_for_{reader}"));
        let value = self.graph.value(v);
        let read = self.add_tensor(QTensor {
            name: format!("{key}_quantized"),
            source: value.name.clone(),
            shape: value.shape.clone(),
            dtype: to.dtype,
            quant: Some(to),
            data: None,
        });
        let row = &self.placement.nodes[id.0 as usize];
        let slot = (level, Phase::Compute, row.subgraph.unwrap_or(0), id.0 as usize);
        self.push(slot, row.subgraph, &name, op, vec![own], vec![read], Vec::new());
        Ok(read)
    }

    /// The integer tensor that a node writes for a value.
    pub(crate) fn integer_home(&mut self, v: ValueId, params: QuantParams) -> TensorId {
        let value = self.graph.value(v);
        // A port without a border has the model's own name.
        let name = if self.bare.contains(&v) { value.name.clone() } else { format!("{}_quantized", value.name) };
        let q = self.add_tensor(QTensor {
            name,
            source: value.name.clone(),
            shape: value.shape.clone(),
            dtype: params.dtype,
            quant: Some(params),
            data: None,
        });
        self.integer.insert(v, q);
        q
    }

    /// A constant tensor of the program.
    pub(crate) fn constant(&mut self, source: ValueId, suffix: &str, data: Tensor, params: QuantParams) -> TensorId {
        let source = self.graph.value(source).name.clone();
        let base = format!("{source}{suffix}");
        let mut name = base.clone();
        let mut n = 2;
        while self.tensors.iter().any(|t| t.name == name) {
            name = format!("{base}_{n}");
            n += 1;
        }
        self.add_tensor(QTensor {
            name,
            source,
            shape: data.shape().to_vec(),
            dtype: data.dtype(),
            quant: Some(params),
            data: Some(data),
        })
    }

    /// Quantization parameters of a value.
    pub(crate) fn params(&self, v: ValueId) -> Result<QuantParams, Diagnostic> {
        let name = &self.graph.value(v).name;
        self.quant
            .activations
            .get(name)
            .map(|a| a.params.clone())
            .ok_or_else(|| Diagnostic::error("PART04", "needs a scale, but calibration gave none").value(name))
    }

    /// Parameters of an integer tensor already in the program.
    pub(crate) fn tensor_params(&self, t: TensorId) -> QuantParams {
        let tensor = &self.tensors[t.0 as usize];
        tensor.quant.clone().unwrap_or_else(|| QuantParams::per_tensor(tensor.dtype, 1.0, 0))
    }

    /// Shape of a tensor of the program.
    pub(crate) fn tensor_shape(&self, t: TensorId) -> Vec<usize> {
        self.tensors[t.0 as usize].shape.clone()
    }

    /// The program: nodes in order of their slots, cut into segments.
    pub(crate) fn finish(mut self) -> QGraph {
        let graph = self.graph;
        let bare = |this: &Self, v: &ValueId| this.integer.get(v).copied().filter(|_| this.bare.contains(v));
        let inputs = graph.inputs.iter().map(|&v| bare(&self, &v).unwrap_or_else(|| self.float_home(v))).collect();
        let outputs = graph.outputs.iter().map(|&v| bare(&self, &v).unwrap_or_else(|| self.float_tensor(v))).collect();
        self.slots.sort_by_key(|s| s.0);
        let mut segments: Vec<Segment> = Vec::new();
        let mut nodes: Vec<QNode> = Vec::new();
        let mut current = None;
        for ((level, _, component, _), subgraph, mut node) in self.slots {
            let device = if level % 2 == 1 { Device::Bpu } else { Device::Cpu };
            if current != Some((level, component * (level % 2))) {
                current = Some((level, component * (level % 2)));
                segments.push(Segment { device, subgraph });
            }
            node.segment = SegmentId(segments.len() as u32 - 1);
            nodes.push(node);
        }
        QGraph {
            name: graph.name.clone(),
            march: self.march.name.clone(),
            rounding: self.march.quantization.rounding,
            tensors: self.tensors,
            nodes,
            segments,
            inputs,
            outputs,
        }
    }
}

/// A float operator that casts to a type.
fn cast(to: DType) -> QOp {
    let attrs = Attrs::of([("to", Attr::Int(to.onnx().into()))]);
    QOp::Float { op: "Cast".to_owned(), domain: String::new(), attrs, present: vec![true] }
}

//! The float graph: values with static shapes, nodes with ONNX operators, constants.

use crate::{Attrs, DType, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the `ai.onnx` operator set whose meaning the nodes of a [`Graph`] have. Parse converts to it.
pub const IR_OPSET: i64 = 17;

/// Index of a value in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValueId(pub u32);

/// Index of a node in its graph; nodes are kept in topological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u32);

/// Where a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Device {
    /// The accelerator; on march `cpu` the integer executor.
    #[serde(rename = "BPU")]
    Bpu,
    /// Float code on the processor.
    #[serde(rename = "CPU")]
    Cpu,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Device::Bpu => "BPU",
            Device::Cpu => "CPU",
        })
    }
}

/// A tensor that flows through the graph: name, element type, static shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Unique name, as in the ONNX file where it came from one.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Static shape.
    pub shape: Vec<usize>,
}

/// One operator application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique, never empty.
    pub name: String,
    /// Operator name, as in ONNX.
    pub op: String,
    /// Operator domain; empty for `ai.onnx`.
    pub domain: String,
    /// Inputs in ONNX order; `None` for an omitted optional one.
    pub inputs: Vec<Option<ValueId>>,
    /// Outputs in ONNX order.
    pub outputs: Vec<ValueId>,
    /// Attributes.
    pub attrs: Attrs,
    /// Names of the source model's nodes that this node stands for (itself excluded).
    pub covers: Vec<String>,
    /// Name of the node that may compute this activation as part of itself.
    /// Fusion marks it, placement accepts or refuses it; until then the node stays.
    pub fusible_into: Option<String>,
}

impl Node {
    /// Value of input `i`, if given.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        self.inputs.get(i).copied().flatten()
    }

    /// Whether this is operator `op` of the standard domain.
    pub fn is(&self, op: &str) -> bool {
        self.domain.is_empty() && self.op == op
    }
}

/// A model as the stages see it. Invariants are checked by [`Graph::verify`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Name of the model.
    pub name: String,
    /// All values, by [`ValueId`].
    pub values: Vec<Value>,
    /// All nodes in topological order, by [`NodeId`].
    pub nodes: Vec<Node>,
    /// Data of constant values.
    pub constants: BTreeMap<ValueId, Tensor>,
    /// Model inputs in the model's order.
    pub inputs: Vec<ValueId>,
    /// Model outputs in the model's order.
    pub outputs: Vec<ValueId>,
}

impl Graph {
    /// The value with this id.
    ///
    /// # Panics
    /// When the id is of another graph; ids come from the graph itself.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// The node with this id.
    ///
    /// # Panics
    /// When the id is of another graph; ids come from the graph itself.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The constant behind a value, if it is one.
    pub fn constant(&self, id: ValueId) -> Option<&Tensor> {
        self.constants.get(&id)
    }

    /// The constant behind input `i` of a node, if it is one.
    pub fn const_input(&self, node: &Node, i: usize) -> Option<&Tensor> {
        node.input(i).and_then(|v| self.constants.get(&v))
    }

    /// Id of the value with this name.
    pub fn find_value(&self, name: &str) -> Option<ValueId> {
        self.values.iter().position(|v| v.name == name).map(|i| ValueId(i as u32))
    }

    /// Id of the node with this name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|n| n.name == name).map(|i| NodeId(i as u32))
    }

    /// Ids and nodes in topological order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i as u32), n))
    }

    /// The node that makes each value, by value index; `None` for inputs and constants.
    pub fn producers(&self) -> Vec<Option<NodeId>> {
        let mut out = vec![None; self.values.len()];
        for (id, node) in self.nodes() {
            for v in &node.outputs {
                out[v.0 as usize] = Some(id);
            }
        }
        out
    }

    /// The nodes that read each value, by value index, in node order; a node that reads twice is listed twice.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut out = vec![Vec::new(); self.values.len()];
        for (id, node) in self.nodes() {
            for v in node.inputs.iter().flatten() {
                out[v.0 as usize].push(id);
            }
        }
        out
    }

    /// Whether a value is a model output.
    pub fn is_output(&self, id: ValueId) -> bool {
        self.outputs.contains(&id)
    }

    /// Adds a value and returns its id.
    pub fn add_value(&mut self, name: impl Into<String>, dtype: DType, shape: Vec<usize>) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.values.push(Value { name: name.into(), dtype, shape });
        id
    }

    /// Adds a constant value and returns its id.
    pub fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        let id = self.add_value(name, tensor.dtype(), tensor.shape().to_vec());
        self.constants.insert(id, tensor);
        id
    }

    /// A value name that is not taken: `base`, or `base_2`, `base_3`, …
    pub fn fresh_value_name(&self, base: &str) -> String {
        fresh(base, |n| self.values.iter().any(|v| v.name == n))
    }

    /// A node name that is not taken: `base`, or `base_2`, `base_3`, …
    pub fn fresh_node_name(&self, base: &str) -> String {
        fresh(base, |n| self.nodes.iter().any(|v| v.name == n))
    }

    /// Removes values that nothing reads or makes, and constants without a reader; renumbers the rest in
    /// first-use order (inputs, then node by node), so that equal graphs have equal bytes.
    pub fn compact(&mut self) {
        let mut order: Vec<Option<u32>> = vec![None; self.values.len()];
        let mut next = 0u32;
        let mut visit = |v: ValueId| {
            let slot = &mut order[v.0 as usize];
            if slot.is_none() {
                *slot = Some(next);
                next += 1;
            }
        };
        self.inputs.iter().for_each(|&v| visit(v));
        for node in &self.nodes {
            node.inputs.iter().flatten().for_each(|&v| visit(v));
            node.outputs.iter().for_each(|&v| visit(v));
        }
        self.outputs.iter().for_each(|&v| visit(v));
        let mut values: Vec<Option<Value>> = vec![None; next as usize];
        for (old, value) in std::mem::take(&mut self.values).into_iter().enumerate() {
            if let Some(new) = order[old] {
                values[new as usize] = Some(value);
            }
        }
        self.values = values.into_iter().flatten().collect();
        let map = |v: ValueId| ValueId(order[v.0 as usize].unwrap_or(0));
        self.constants = std::mem::take(&mut self.constants)
            .into_iter()
            .filter(|(v, _)| order[v.0 as usize].is_some())
            .map(|(v, t)| (map(v), t))
            .collect();
        for node in &mut self.nodes {
            for v in node.inputs.iter_mut().flatten() {
                *v = map(*v);
            }
            for v in &mut node.outputs {
                *v = map(*v);
            }
        }
        for v in self.inputs.iter_mut().chain(&mut self.outputs) {
            *v = map(*v);
        }
    }
}

fn fresh(base: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = base.to_owned();
    let mut n = 2;
    while taken(&name) {
        name = format!("{base}_{n}");
        n += 1;
    }
    name
}

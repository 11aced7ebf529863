//! Sorted file nodes → graph: convert, infer, fold, node by node. A node that fails hides those that depend on it, so
//! that each problem is reported once.

use crate::budget::Budget;
use crate::fold::fold;
use crate::freeze::FrozenInput;
use crate::narrow::Narrowing;
use ptq_ir::{DType, Diagnostic, Graph, Node, Tensor, ValueId};
use ptq_onnx::{ConvertEnv, RawControl, RawModel, RawNode, convert, infer};
use std::collections::{BTreeMap, BTreeSet};

/// Name of every graph: the file's own name for it must not change any output.
const GRAPH_NAME: &str = "model";

/// Builds the graph of a model with sorted nodes and frozen inputs.
///
/// # Errors
/// Every problem found.
pub(crate) fn build(
    raw: RawModel,
    inputs: &[FrozenInput],
    budget: usize,
    notes: &mut Vec<Diagnostic>,
) -> Result<Graph, Vec<Diagnostic>> {
    let mut builder = Builder::new(&raw, inputs, budget);
    for (name, tensor) in raw.constants {
        let id = builder.graph.add_constant(name.clone(), tensor);
        builder.ids.insert(name, id);
    }
    let mut problems = Vec::new();
    for node in raw.nodes {
        let control = raw.control.get(&node.name);
        if let Err(problem) = builder.add(node, control) {
            problems.push(problem);
        }
    }
    for name in &raw.outputs {
        builder.graph.outputs.extend(builder.ids.get(name));
    }
    notes.extend(builder.narrowing.note());
    if problems.is_empty() { Ok(builder.graph) } else { Err(problems) }
}

/// The graph in the making.
pub(crate) struct Builder {
    graph: Graph,
    opset: i64,
    ids: BTreeMap<String, ValueId>,
    values: Names,
    nodes: Names,
    budget: Budget,
    /// Nodes and steps that unrolling added.
    pub(crate) unrolled: usize,
    /// Constants that several steps of a loop share, by what they are for.
    shared: BTreeMap<String, String>,
    narrowing: Narrowing,
}

/// Taken names; for each base the first number that may be free.
#[derive(Default)]
pub(crate) struct Names {
    taken: BTreeSet<String>,
    next: BTreeMap<String, usize>,
}

impl Builder {
    fn new(raw: &RawModel, inputs: &[FrozenInput], budget: usize) -> Builder {
        let mut graph = Graph { name: GRAPH_NAME.to_owned(), ..Graph::default() };
        let mut ids = BTreeMap::new();
        let mut narrowing = Narrowing::default();
        for input in inputs {
            let id = graph.add_value(&input.name, narrowing.input(&input.name, input.dtype), input.shape.clone());
            graph.inputs.push(id);
            ids.insert(input.name.clone(), id);
        }
        let made = raw.nodes.iter().flat_map(|n| n.outputs.iter().cloned());
        let values = made.chain(raw.constants.keys().cloned()).chain(inputs.iter().map(|i| i.name.clone())).collect();
        let nodes = raw.nodes.iter().map(|n| n.name.clone()).collect();
        Builder {
            graph,
            opset: raw.opset,
            ids,
            values: Names { taken: values, next: BTreeMap::new() },
            nodes: Names { taken: nodes, next: BTreeMap::new() },
            budget: Budget::new(budget, raw.constants.values().map(Tensor::byte_len).sum()),
            unrolled: 0,
            shared: BTreeMap::new(),
            narrowing,
        }
    }

    /// Adds a file node. Does nothing when an input is missing because an earlier node failed.
    pub(crate) fn add(&mut self, raw: RawNode, control: Option<&RawControl>) -> Result<(), Diagnostic> {
        if raw.inputs.iter().flatten().any(|name| !self.ids.contains_key(name)) {
            return Ok(());
        }
        if let Some(control) = control {
            return self.control(&raw, control);
        }
        for node in convert(raw, self.opset, self)? {
            self.add_converted(node)?;
        }
        Ok(())
    }

    /// Adds a node of the graph's own operator set: infers its shapes, or computes it.
    pub(crate) fn add_converted(&mut self, raw: RawNode) -> Result<(), Diagnostic> {
        let inputs = raw.inputs.iter().map(|i| i.as_ref().and_then(|n| self.ids.get(n).copied())).collect();
        // Outputs get their ids after inference; the placeholder ids only carry their number.
        let mut node = Node {
            name: raw.name,
            op: raw.op,
            domain: raw.domain,
            inputs,
            outputs: vec![ValueId(u32::MAX); raw.outputs.len()],
            attrs: raw.attrs,
            covers: Vec::new(),
            fusible_into: None,
        };
        self.narrowing.node(&mut self.graph, &mut self.values, &mut node)?;
        let inferred = infer(&self.graph, &node)?;
        if let Some(tensors) = fold(&self.graph, &node, &inferred, &mut self.budget)? {
            for (name, tensor) in raw.outputs.into_iter().zip(tensors) {
                self.constant(name, tensor, &node.name)?;
            }
            return Ok(());
        }
        node.outputs.clear();
        for (name, (dtype, shape)) in raw.outputs.into_iter().zip(inferred) {
            self.budget.activation(dtype, &shape).map_err(|d| d.node(&node.name).value(&name))?;
            let id = self.graph.add_value(name.clone(), dtype, shape);
            self.ids.insert(name, id);
            node.outputs.push(id);
        }
        self.graph.nodes.push(node);
        Ok(())
    }

    /// Adds a constant, within the budget.
    pub(crate) fn constant(&mut self, name: String, tensor: Tensor, node: &str) -> Result<(), Diagnostic> {
        self.spend(tensor.byte_len(), node)?;
        let id = self.graph.add_constant(name.clone(), tensor);
        self.ids.insert(name, id);
        Ok(())
    }

    /// Charges the budget with bytes on behalf of a node.
    pub(crate) fn spend(&mut self, bytes: usize, node: &str) -> Result<(), Diagnostic> {
        self.budget.constants(bytes).map_err(|d| d.node(node))
    }

    /// A small constant, made once for each purpose.
    pub(crate) fn shared_constant(&mut self, purpose: &str, tensor: Tensor) -> String {
        if let Some(name) = self.shared.get(purpose) {
            return name.clone();
        }
        let name = self.add_constant(purpose, tensor);
        self.shared.insert(purpose.to_owned(), name.clone());
        name
    }

    /// Data of a value, if it is constant.
    pub(crate) fn constant_value(&self, name: &str) -> Option<&Tensor> {
        self.graph.constant(*self.ids.get(name)?)
    }

    /// Shape of a value; empty when it was not made.
    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.ids.get(name).map_or(Vec::new(), |&v| self.graph.value(v).shape.clone())
    }

    pub(crate) fn fresh_name(&mut self, base: &str) -> String {
        self.values.fresh(base)
    }

    pub(crate) fn fresh_node_name(&mut self, base: &str) -> String {
        self.nodes.fresh(base)
    }
}

impl ConvertEnv for Builder {
    fn typed(&self, value: &str) -> Option<(DType, Vec<usize>)> {
        let value = self.graph.value(*self.ids.get(value)?);
        Some((value.dtype, value.shape.clone()))
    }

    fn constant(&self, value: &str) -> Option<Tensor> {
        self.graph.constant(*self.ids.get(value)?).cloned()
    }

    fn add_constant(&mut self, base: &str, tensor: Tensor) -> String {
        let name = self.fresh_value(base);
        let id = self.graph.add_constant(name.clone(), tensor);
        self.ids.insert(name.clone(), id);
        name
    }

    fn fresh_value(&mut self, base: &str) -> String {
        self.values.fresh(base)
    }

    fn fresh_node(&mut self, base: &str) -> String {
        self.nodes.fresh(base)
    }
}

impl Names {
    /// `base`, or `base_2`, … where that is taken; the result is taken then.
    pub(crate) fn fresh(&mut self, base: &str) -> String {
        if self.taken.insert(base.to_owned()) {
            return base.to_owned();
        }
        let next = self.next.entry(base.to_owned()).or_insert(2);
        loop {
            let name = format!("{base}_{next}");
            *next += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

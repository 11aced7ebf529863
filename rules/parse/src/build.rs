//! Sorted file nodes → graph: convert, infer, fold, node by node. A node that fails hides those that depend on it, so
//! that each problem is reported once.

use crate::fold::fold;
use crate::freeze::FrozenInput;
use crate::narrow::Narrowing;
use ptq_ir::{DType, Diagnostic, Graph, Node, Tensor, ValueId, numel};
use ptq_onnx::{ConvertEnv, RawModel, RawNode, convert, infer};
use std::collections::{BTreeMap, BTreeSet};

/// Name of every graph: the file's own name for it must not change any output.
const GRAPH_NAME: &str = "model";
/// Largest activation in bytes.
const MAX_VALUE_BYTES: usize = 1 << 31;
/// Folded constants together, in bytes: bounds the work that a file can ask for.
const MAX_FOLDED_BYTES: usize = 1 << 30;

/// Builds the graph of a model with sorted nodes and frozen inputs.
///
/// # Errors
/// Every problem found.
pub(crate) fn build(
    raw: RawModel,
    inputs: &[FrozenInput],
    notes: &mut Vec<Diagnostic>,
) -> Result<Graph, Vec<Diagnostic>> {
    let mut builder = Builder::new(&raw, inputs);
    for (name, tensor) in raw.constants {
        let id = builder.graph.add_constant(name.clone(), tensor);
        builder.ids.insert(name, id);
    }
    let mut problems = Vec::new();
    for node in raw.nodes {
        if let Err(problem) = builder.add(node, raw.opset) {
            problems.push(problem);
        }
    }
    for name in &raw.outputs {
        builder.graph.outputs.extend(builder.ids.get(name));
    }
    notes.extend(builder.narrowing.note());
    if problems.is_empty() { Ok(builder.graph) } else { Err(problems) }
}

struct Builder {
    graph: Graph,
    ids: BTreeMap<String, ValueId>,
    values: BTreeSet<String>,
    nodes: BTreeSet<String>,
    folded_bytes: usize,
    narrowing: Narrowing,
}

impl Builder {
    fn new(raw: &RawModel, inputs: &[FrozenInput]) -> Builder {
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
        Builder { graph, ids, values, nodes, folded_bytes: 0, narrowing }
    }

    /// Adds a file node. Does nothing when an input is missing because an earlier node failed.
    fn add(&mut self, raw: RawNode, opset: i64) -> Result<(), Diagnostic> {
        if raw.inputs.iter().flatten().any(|name| !self.ids.contains_key(name)) {
            return Ok(());
        }
        for node in convert(raw, opset, self)? {
            self.add_converted(node)?;
        }
        Ok(())
    }

    fn add_converted(&mut self, raw: RawNode) -> Result<(), Diagnostic> {
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
        if let Some(tensors) = fold(&self.graph, &node, &inferred)? {
            for (name, tensor) in raw.outputs.into_iter().zip(tensors) {
                self.constant(name, tensor, &node.name)?;
            }
            return Ok(());
        }
        node.outputs.clear();
        for (name, (dtype, shape)) in raw.outputs.into_iter().zip(inferred) {
            if numel(&shape).and_then(|n| n.checked_mul(dtype.bytes())).is_none_or(|b| b > MAX_VALUE_BYTES) {
                let message = format!("{dtype}{shape:?} is larger than {MAX_VALUE_BYTES} bytes");
                return Err(Diagnostic::error("PARSE06", message).node(&node.name).value(name));
            }
            let id = self.graph.add_value(name.clone(), dtype, shape);
            self.ids.insert(name, id);
            node.outputs.push(id);
        }
        self.graph.nodes.push(node);
        Ok(())
    }

    fn constant(&mut self, name: String, tensor: Tensor, node: &str) -> Result<(), Diagnostic> {
        self.folded_bytes += tensor.byte_len();
        if self.folded_bytes > MAX_FOLDED_BYTES {
            let message = format!("folded constants together are larger than {MAX_FOLDED_BYTES} bytes");
            return Err(Diagnostic::error("PARSE06", message).node(node));
        }
        let id = self.graph.add_constant(name.clone(), tensor);
        self.ids.insert(name, id);
        Ok(())
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
        fresh(&mut self.values, base)
    }

    fn fresh_node(&mut self, base: &str) -> String {
        fresh(&mut self.nodes, base)
    }
}

/// A name like `base` that is not taken; takes it.
pub(crate) fn fresh(taken: &mut BTreeSet<String>, base: &str) -> String {
    let mut name = base.to_owned();
    let mut n = 2;
    while !taken.insert(name.clone()) {
        name = format!("{base}_{n}");
        n += 1;
    }
    name
}

//! Builds small graphs by hand, for rules and tests.

use crate::{Attrs, DType, Graph, Node, Tensor, ValueId};

/// Adds values and nodes to a graph, one call each.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// An empty graph of this name.
    pub fn new(name: &str) -> GraphBuilder {
        GraphBuilder { graph: Graph { name: name.to_owned(), ..Graph::default() } }
    }

    /// A float32 model input.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> ValueId {
        let id = self.graph.add_value(name, DType::F32, shape.to_vec());
        self.graph.inputs.push(id);
        id
    }

    /// A constant.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.graph.add_constant(name, tensor)
    }

    /// A node with one float32 output called `<name>_out` of this shape.
    pub fn node(&mut self, op: &str, name: &str, inputs: &[ValueId], attrs: Attrs, shape: &[usize]) -> ValueId {
        let out = self.graph.add_value(format!("{name}_out"), DType::F32, shape.to_vec());
        self.graph.nodes.push(Node {
            name: name.to_owned(),
            op: op.to_owned(),
            domain: String::new(),
            inputs: inputs.iter().map(|&v| Some(v)).collect(),
            outputs: vec![out],
            attrs,
            covers: Vec::new(),
            fusible_into: None,
        });
        out
    }

    /// Marks a model output.
    pub fn output(&mut self, id: ValueId) {
        self.graph.outputs.push(id);
    }

    /// The graph.
    pub fn finish(self) -> Graph {
        self.graph
    }
}

//! Who makes and who reads each value, as rules ask it. Made by `fixed_point` anew after each change.

use ptq_ir::{Graph, NodeId, ValueId};

/// Producers, readers and liveness of one state of a graph.
pub(crate) struct Links {
    producers: Vec<Option<NodeId>>,
    readers: Vec<Vec<NodeId>>,
    live: Vec<bool>,
}

impl Links {
    /// The links of a graph.
    pub(crate) fn of(graph: &Graph) -> Links {
        let producers = graph.producers();
        let mut live = vec![false; graph.nodes.len()];
        let mut wanted = vec![false; graph.values.len()];
        graph.outputs.iter().for_each(|v| wanted[v.0 as usize] = true);
        for (i, node) in graph.nodes.iter().enumerate().rev() {
            live[i] = node.outputs.iter().any(|v| wanted[v.0 as usize]);
            if live[i] {
                node.inputs.iter().flatten().for_each(|v| wanted[v.0 as usize] = true);
            }
        }
        Links { producers, readers: graph.consumers(), live }
    }

    /// The node that makes a value; `None` for model inputs and constants.
    pub(crate) fn producer(&self, v: ValueId) -> Option<NodeId> {
        self.producers[v.0 as usize]
    }

    /// The node that makes input `i` of a node.
    pub(crate) fn producer_of(&self, graph: &Graph, node: NodeId, i: usize) -> Option<NodeId> {
        self.producer(graph.node(node).input(i)?)
    }

    /// The nodes that read a value, in node order; one that reads twice is listed twice.
    pub(crate) fn readers(&self, v: ValueId) -> &[NodeId] {
        &self.readers[v.0 as usize]
    }

    /// Whether any model output depends on this node.
    pub(crate) fn is_live(&self, node: NodeId) -> bool {
        self.live[node.0 as usize]
    }

    /// Who besides one read by `reader` sees the value; `None` when nobody does.
    pub(crate) fn also_seen(&self, graph: &Graph, v: ValueId, reader: NodeId) -> Option<String> {
        let maker = self.producer(v).map_or("", |p| graph.node(p).name.as_str());
        if graph.is_output(v) {
            return Some(format!("the output of {maker} is the model output {}", graph.value(v).name));
        }
        let readers = self.readers(v);
        let other = readers.iter().find(|&&r| r != reader).or_else(|| readers.get(1))?;
        Some(format!("the output of {maker} is also read by {}", graph.node(*other).name))
    }
}

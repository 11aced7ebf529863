//! The edits that rewrites are made of. Called by the files under `rules/`.

use crate::links::Links;
use ptq_ir::{Graph, Node, NodeId, Tensor, ValueId};

/// Takes a node out of the graph. Later nodes move up by one.
pub(crate) fn remove(graph: &mut Graph, node: NodeId) -> Node {
    graph.nodes.remove(node.0 as usize)
}

/// Records that `survivor` stands for `gone` and for everything that `gone` stood for.
pub(crate) fn cover(graph: &mut Graph, survivor: NodeId, gone: &Node) {
    let covers = &mut graph.nodes[survivor.0 as usize].covers;
    for name in std::iter::once(&gone.name).chain(&gone.covers) {
        if !covers.contains(name) {
            covers.push(name.clone());
        }
    }
}

/// Makes every reader of `from` read `to`. Model outputs stay.
pub(crate) fn redirect_readers(graph: &mut Graph, from: ValueId, to: ValueId) {
    for v in graph.nodes.iter_mut().flat_map(|n| n.inputs.iter_mut().flatten()) {
        if *v == from {
            *v = to;
        }
    }
}

/// Makes `tensor` the constant input `i` of a node. The constant keeps its name when only this node reads it;
/// otherwise a new one is called `name`.
pub(crate) fn set_constant(graph: &mut Graph, links: &Links, node: NodeId, i: usize, tensor: Tensor, name: &str) {
    let own = graph
        .node(node)
        .input(i)
        .filter(|v| graph.constant(*v).is_some() && links.readers(*v).len() == 1 && !graph.is_output(*v));
    if let Some(v) = own {
        let value = &mut graph.values[v.0 as usize];
        value.dtype = tensor.dtype();
        value.shape = tensor.shape().to_vec();
        graph.constants.insert(v, tensor);
        return;
    }
    let v = graph.add_constant(graph.fresh_value_name(name), tensor);
    let inputs = &mut graph.nodes[node.0 as usize].inputs;
    if inputs.len() <= i {
        inputs.resize(i + 1, None);
    }
    inputs[i] = Some(v);
}

/// Makes `survivor` stand for the other nodes of a group and removes those. The survivor must be the last of them.
pub(crate) fn absorb(graph: &mut Graph, survivor: NodeId, group: &[NodeId]) {
    let gone: Vec<Node> = group.iter().filter(|n| **n != survivor).map(|n| graph.node(*n).clone()).collect();
    gone.iter().for_each(|node| cover(graph, survivor, node));
    let mut doomed: Vec<NodeId> = group.iter().copied().filter(|n| *n != survivor).collect();
    doomed.sort();
    doomed.into_iter().rev().for_each(|n| drop(remove(graph, n)));
}

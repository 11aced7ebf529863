//! Names of a graph: every value is made once, every value read is made; what a sub-graph takes from outside.

use super::{RawBody, RawInput, RawNode};
use crate::proto::{GraphProto, NodeProto, TensorProto};
use ptq_ir::{Diagnostic, Tensor};
use std::collections::{BTreeMap, BTreeSet};

fn error(why: String) -> Diagnostic {
    Diagnostic::error("ONNX03", why)
}

/// Problems of the main graph: a value made twice or never.
pub(crate) fn definitions(
    inputs: &[RawInput],
    outputs: &[String],
    nodes: &[RawNode],
    constants: &BTreeMap<String, Tensor>,
) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut made: BTreeSet<&str> = constants.keys().map(String::as_str).collect();
    for input in inputs {
        if input.name.is_empty() || !made.insert(&input.name) {
            problems.push(error("input name is empty or taken".to_owned()).value(&input.name));
        }
    }
    made_by_nodes(nodes, &mut made, &mut problems);
    for node in nodes {
        for name in node.inputs.iter().flatten().filter(|n| !made.contains(n.as_str())) {
            problems.push(error(format!("reads {name}, which nothing makes")).node(&node.name));
        }
    }
    if outputs.is_empty() {
        problems.push(error("the model has no outputs".to_owned()));
    }
    let mut seen = BTreeSet::new();
    for name in outputs {
        if !made.contains(name.as_str()) || !seen.insert(name) {
            problems.push(error("output is never made, or listed twice".to_owned()).value(name));
        }
    }
    problems
}

fn made_by_nodes<'a>(nodes: &'a [RawNode], made: &mut BTreeSet<&'a str>, problems: &mut Vec<Diagnostic>) {
    for node in nodes {
        for name in &node.outputs {
            if !made.insert(name) {
                problems.push(error(format!("{name} is made twice")).node(&node.name));
            }
        }
    }
}

/// The outer values that a sub-graph reads, and its problems.
pub(crate) fn captured(body: &RawBody) -> (BTreeSet<String>, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut made: BTreeSet<&str> = body.constants.keys().map(String::as_str).collect();
    for name in &body.inputs {
        if name.is_empty() || !made.insert(name) {
            problems.push(error(format!("input name {name:?} of a sub-graph is empty or taken")));
        }
    }
    made_by_nodes(&body.nodes, &mut made, &mut problems);
    let read = body.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&body.outputs);
    let outer: BTreeSet<String> = read.filter(|n| !made.contains(n.as_str())).cloned().collect();
    if outer.contains("") {
        problems.push(error("an output of a sub-graph has no name".to_owned()));
    }
    (outer, problems)
}

/// Every tensor of a graph: initializers, attributes, sub-graphs.
pub(crate) fn tensors<'a>(graph: &'a GraphProto, out: &mut Vec<&'a TensorProto>) {
    out.extend(&graph.initializer);
    let sparse = graph.sparse_initializer.iter().flat_map(|s| s.values.iter().chain(&s.indices));
    out.extend(sparse);
    node_tensors(&graph.node, out);
}

/// Every tensor in the attributes of nodes.
pub(crate) fn node_tensors<'a>(nodes: &'a [NodeProto], out: &mut Vec<&'a TensorProto>) {
    for a in nodes.iter().flat_map(|n| &n.attribute) {
        out.extend(&a.t);
        out.extend(a.sparse_tensor.iter().flat_map(|s| s.values.iter().chain(&s.indices)));
        a.g.iter().chain(&a.graphs).for_each(|g| tensors(g, out));
    }
}

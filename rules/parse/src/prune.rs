//! Removes nodes whose results reach no output.

use ptq_ir::Graph;
use ptq_onnx::RawModel;
use std::collections::{BTreeMap, BTreeSet};

/// Removes dead nodes of a file, so that they cannot cause problems. The order of nodes does not matter.
pub(crate) fn prune_raw(model: &mut RawModel) {
    let mut maker: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, node) in model.nodes.iter().enumerate() {
        maker.extend(node.outputs.iter().map(|o| (o.as_str(), i)));
    }
    let mut live = BTreeSet::new();
    let mut todo: Vec<&str> = model.outputs.iter().map(String::as_str).collect();
    while let Some(name) = todo.pop() {
        if let Some(&i) = maker.get(name)
            && live.insert(i)
        {
            todo.extend(model.nodes[i].inputs.iter().flatten().map(String::as_str));
        }
    }
    let mut index = 0..;
    model.nodes.retain(|_| index.next().is_some_and(|i| live.contains(&i)));
}

/// Removes dead nodes of a sorted graph. Inputs stay, read or not: their number and order are the model's contract.
pub(crate) fn prune(graph: &mut Graph) {
    let mut read = vec![false; graph.values.len()];
    graph.outputs.iter().for_each(|v| read[v.0 as usize] = true);
    let mut live = vec![false; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        live[i] = node.outputs.iter().any(|v| read[v.0 as usize]);
        if live[i] {
            node.inputs.iter().flatten().for_each(|v| read[v.0 as usize] = true);
        }
    }
    let mut index = 0..;
    graph.nodes.retain(|_| index.next().is_some_and(|i| live[i]));
}

//! Topological order of a file's nodes, stable: a sorted file keeps its order.

use ptq_ir::Diagnostic;
use ptq_onnx::RawNode;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Sorts nodes so that each value is made before it is read; among nodes that are ready, the file's first comes first.
///
/// # Errors
/// `PARSE04` with a node of the cycle.
pub(crate) fn sort(nodes: &mut Vec<RawNode>) -> Result<(), Vec<Diagnostic>> {
    let mut maker: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, node) in nodes.iter().enumerate() {
        maker.extend(node.outputs.iter().map(|o| (o.as_str(), i)));
    }
    let mut readers = vec![Vec::new(); nodes.len()];
    let mut waits = vec![0usize; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        for &from in node.inputs.iter().flatten().filter_map(|name| maker.get(name.as_str())) {
            readers[from].push(i);
            waits[i] += 1;
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len()).filter(|&i| waits[i] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        for &r in &readers[i] {
            waits[r] -= 1;
            if waits[r] == 0 {
                ready.push(Reverse(r));
            }
        }
    }
    if let Some(stuck) = (0..nodes.len()).find(|&i| waits[i] > 0).filter(|_| order.len() < nodes.len()) {
        let problem = Diagnostic::error("PARSE04", "the graph has a cycle that this node is part of or behind");
        return Err(vec![problem.node(&nodes[stuck].name)]);
    }
    let mut taken: Vec<Option<RawNode>> = std::mem::take(nodes).into_iter().map(Some).collect();
    nodes.extend(order.into_iter().filter_map(|i| taken[i].take()));
    Ok(())
}

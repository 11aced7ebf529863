//! Activations that the convolution in front of them computes, so that the value between them vanishes.

use ptq_ir::{Graph, Node, ValueId};
use ptq_kernels::Activation;
use std::collections::BTreeSet;

/// For each node the activation node behind it that it can compute with bits unchanged, and that function: the value
/// between them has this one reader, is no output of the graph, and nobody observes it (`wanted`).
pub(crate) fn followers(
    graph: &Graph,
    packed: impl Fn(usize) -> bool,
    wanted: &[ValueId],
) -> Vec<Option<(usize, Activation)>> {
    let kept: BTreeSet<ValueId> = wanted.iter().chain(&graph.outputs).copied().collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.values.len()];
    for (j, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().flatten().for_each(|v| readers[v.0 as usize].push(j));
    }
    let follower = |(i, node): (usize, &Node)| {
        let &[between] = node.outputs.as_slice() else { return None };
        let &[j] = readers[between.0 as usize].as_slice() else { return None };
        let next = &graph.nodes[j];
        let fits = packed(i) && !kept.contains(&between) && next.input(0) == Some(between) && next.outputs.len() == 1;
        if fits { activation(graph, next).map(|a| (j, a)) } else { None }
    };
    graph.nodes.iter().enumerate().map(follower).collect()
}

/// The function of an activation node whose parameters are constant.
fn activation(graph: &Graph, node: &Node) -> Option<Activation> {
    if !node.domain.is_empty() && node.domain != "ai.onnx" {
        return None;
    }
    let bound = |i: usize, default: f32| match node.input(i) {
        None => Some(default),
        Some(v) => match graph.constant(v)?.f32s().ok()? {
            [] => Some(default),
            [bound] => Some(*bound),
            _ => None,
        },
    };
    let alpha = |default| node.attrs.float("alpha", default);
    match node.op.as_str() {
        "Relu" => Some(Activation::Clip { lo: 0.0, hi: f32::INFINITY }),
        "Clip" => Some(Activation::Clip { lo: bound(1, f32::NEG_INFINITY)?, hi: bound(2, f32::INFINITY)? }),
        "HardSigmoid" => Some(Activation::HardSigmoid { alpha: alpha(0.2), beta: node.attrs.float("beta", 0.5) }),
        "HardSwish" => Some(Activation::HardSwish),
        "LeakyRelu" => Some(Activation::LeakyRelu { alpha: alpha(0.01) }),
        "Sigmoid" => Some(Activation::Sigmoid),
        _ => None,
    }
}

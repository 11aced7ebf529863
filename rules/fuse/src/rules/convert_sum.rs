//! FUSE21 convert-sum.

use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{DType, Graph, Node, NodeId, broadcast_shapes};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE21` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE21",
    name: "convert-sum",
    summary: "A Sum of two or more inputs becomes a chain of Adds.",
    why: "Accelerators add two tensors; the order of the additions stays.",
    example: "sum = Sum(x, y, z) -> sum_out:float32[2, 3]\n\
              =>\n\
              sum_part_1 = Add(x, y) -> sum_part_1_output:float32[2, 3]\n\
              sum = Add(sum_part_1_output, z) -> sum_out:float32[2, 3]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    graph.node(id).is("Sum") && graph.node(id).inputs.len() >= 2
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let node = graph.node(id).clone();
    let inputs: Vec<_> = node.inputs.iter().flatten().copied().collect();
    if inputs.len() != node.inputs.len() || inputs.iter().any(|&v| graph.value(v).dtype != DType::F32) {
        return Outcome::Skipped("its inputs are not float32 tensors".to_owned());
    }
    let mut chain = Vec::new();
    let mut sum = inputs[0];
    for (i, &next) in inputs.iter().enumerate().skip(1) {
        let last = i + 1 == inputs.len();
        let (name, out) = if last {
            (node.name.clone(), node.outputs[0])
        } else {
            let name = graph.fresh_node_name(&format!("{}_part_{i}", node.name));
            let Some(shape) = broadcast_shapes(&graph.value(sum).shape, &graph.value(next).shape) else {
                return Outcome::Skipped("its inputs do not broadcast".to_owned());
            };
            let value = graph.fresh_value_name(&format!("{name}_output"));
            (name, graph.add_value(value, DType::F32, shape))
        };
        let covers = if last { node.covers.clone() } else { Vec::new() };
        let inputs = vec![Some(sum), Some(next)];
        chain.push(Node { name, op: "Add".to_owned(), inputs, outputs: vec![out], covers, ..node.clone() });
        sum = out;
    }
    let at = id.0 as usize;
    graph.nodes.splice(at..=at, chain);
    Outcome::Fired
}

//! FUSE24 keep-rank.

use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::reshape::reshape;
use ptq_ir::{Attr, DType, Graph, NodeId, Tensor, ops};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE24` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE24",
    name: "keep-rank",
    summary: "A reduction, ArgMax or ArgMin that drops its axis, and a Gather whose indices are not one row, keep the axis; a Reshape follows.",
    why: "Accelerators compute both with the input's rank. The elements and their order are the same.",
    example: "sum = ReduceSum(x) -> sum_out:float32[2, 4]\n\
              =>\n\
              sum = ReduceSum(x) -> sum_kept:float32[2, 1, 4]\n\
              sum_reshape_output = Reshape(sum_kept, sum_reshape_output_shape) -> sum_out:float32[2, 4]",
    since: "0.3.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let real = node.input(0).is_some_and(|x| graph.value(x).dtype == DType::F32 && graph.constant(x).is_none());
    let drops = ["ReduceSum", "ReduceMean", "ReduceMax", "ArgMax", "ArgMin"].iter().any(|op| node.is(op))
        && node.attrs.int("keepdims", 1) == 0;
    let indices = || graph.const_input(node, 1).map(|i| i.shape().len());
    real && (drops || node.is("Gather") && indices().is_some_and(|rank| rank != 1))
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let node = graph.node(id).clone();
    let (Some(x), Some(&y)) = (node.input(0), node.outputs.first()) else {
        return Outcome::Skipped("it has no input or output".to_owned());
    };
    let mut shape = graph.value(x).shape.clone();
    let mut kept = node.clone();
    if node.is("Gather") {
        let indices = graph.const_input(&node, 1).and_then(|i| i.to_i64s().ok());
        let (Some(axis), Some(indices)) = (ops::axis(node.attrs.int("axis", 0), shape.len()), indices) else {
            return Outcome::Skipped("its axis or indices cannot be read".to_owned());
        };
        shape[axis] = indices.len();
        let row =
            graph.add_constant(graph.fresh_value_name(&format!("{}_indices", node.name)), Tensor::vec_i64(indices));
        kept.inputs[1] = Some(row);
    } else if node.is("ArgMax") || node.is("ArgMin") {
        let Some(axis) = ops::axis(node.attrs.int("axis", 0), shape.len()) else {
            return Outcome::Skipped("its axis is outside the rank".to_owned());
        };
        shape[axis] = 1;
        kept.attrs.set("keepdims", Attr::Int(1));
    } else {
        let Some(&[axis]) = ops::reduced_axes(graph, &node).as_deref() else {
            return Outcome::Skipped("it does not reduce one constant axis".to_owned());
        };
        shape[axis] = 1;
        kept.attrs.set("keepdims", Attr::Int(1));
    }
    let value = graph.add_value(graph.fresh_value_name(&format!("{}_kept", node.name)), graph.value(y).dtype, shape);
    kept.outputs = vec![value];
    let out_shape = graph.value(y).shape.clone();
    let name = graph.fresh_node_name(&format!("{}_reshape_output", node.name));
    let back = reshape(graph, name, Some(value), &out_shape, y);
    let at = id.0 as usize;
    graph.nodes.splice(at..=at, [kept, back]);
    Outcome::Fired
}

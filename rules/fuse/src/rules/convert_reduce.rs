//! FUSE20 convert-reduce.

use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::reshape::reshape;
use ptq_ir::{Attrs, DType, Graph, Node, NodeId, ops};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE20` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE20",
    name: "convert-reduce",
    summary: "A ReduceMean or ReduceMax over height and width becomes a global pool.",
    why: "Exporters spell global pooling as a reduction. Accelerators have the pool; the sums are the same.",
    example: "mean = ReduceMean(x) -> mean_out:float32[2, 3]\n\
              =>\n\
              mean = GlobalAveragePool(x) -> mean_pooled:float32[2, 3, 1, 1]\n\
              mean_reshape_output = Reshape(mean_pooled, mean_reshape_output_shape) -> mean_out:float32[2, 3]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let image = node.input(0).is_some_and(|x| graph.value(x).shape.len() == 4 && graph.value(x).dtype == DType::F32);
    image && (node.is("ReduceMean") || node.is("ReduceMax"))
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let node = graph.node(id).clone();
    let Some(axes) = ops::reduced_axes(graph, &node) else {
        return Outcome::Skipped("its axes are not constant, or outside rank 4".to_owned());
    };
    if axes != [2, 3] {
        return Outcome::Skipped(format!("it reduces axes {axes:?}, not height and width"));
    }
    let (Some(x), Some(&y)) = (node.input(0), node.outputs.first()) else {
        return Outcome::Skipped("it has no input or output".to_owned());
    };
    let op = if node.is("ReduceMean") { "GlobalAveragePool" } else { "GlobalMaxPool" };
    let pool =
        Node { op: op.to_owned(), inputs: vec![Some(x)], outputs: vec![y], attrs: Attrs::default(), ..node.clone() };
    let at = id.0 as usize;
    if graph.value(y).shape.len() == 4 {
        graph.nodes[at] = pool;
        return Outcome::Fired;
    }
    let shape = graph.value(x).shape.clone();
    let name = graph.fresh_value_name(&format!("{}_pooled", node.name));
    let pooled = graph.add_value(name, DType::F32, vec![shape[0], shape[1], 1, 1]);
    let back = graph.fresh_node_name(&format!("{}_reshape_output", node.name));
    let back = reshape(graph, back, Some(pooled), &[shape[0], shape[1]], y);
    graph.nodes.splice(at..=at, [Node { outputs: vec![pooled], ..pool }, back]);
    Outcome::Fired
}

//! FUSE12 recognize-function.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::known_function::{Known, recognize};
use crate::links::Links;
use crate::scalar_region::{Region, regions};
use ptq_ir::{Graph, NodeId, Tensor};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE12` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE12",
    name: "recognize-function",
    summary: "Element-wise nodes that together compute HardSwish, HardSigmoid, Relu, Clip, LeakyRelu, Sigmoid, Softplus, \
              Tanh, Softsign or Abs of one value become that operator.",
    why: "One operator is quantized once, at its end, and can be fused or looked up in one table. Exporters write the same \
          function in many ways (x·Clip(x + 3, 0, 6) / 6, x·HardSigmoid(x), Min(Max(x, 0), 6), ...), so the nodes are \
          compared by what they compute, on more than a thousand numbers, to within 2e-6, and not by how they are written.",
    example: "plus = Add(x, three) -> plus_out:float32[1, 2, 3, 3]\n\
              clip = Clip(plus_out, zero, six) -> clip_out:float32[1, 2, 3, 3]\n\
              times = Mul(x, clip_out) -> times_out:float32[1, 2, 3, 3]\n\
              div = Div(times_out, six) -> div_out:float32[1, 2, 3, 3]\n\
              =>\n\
              div = HardSwish(x) -> div_out:float32[1, 2, 3, 3]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

/// Most nodes of a region do not compute a function with a name of its own; there is nothing to say about those.
fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    find(graph, links, id).is_some()
}

/// The largest region that has a name, unless it is that operator already.
fn find(graph: &Graph, links: &Links, id: NodeId) -> Option<(Region, Known)> {
    let named = |r: Region| recognize(&r.function).map(|known| (r, known));
    let (region, known) = regions(graph, links, id, |_, _| true).into_iter().rev().find_map(named)?;
    (region.nodes.len() > 1 || !graph.node(id).is(known.op)).then_some((region, known))
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let Some((region, known)) = find(graph, links, id) else {
        return Outcome::Skipped("it computes no function that has an operator".to_owned());
    };
    let name = graph.node(id).name.clone();
    let mut inputs = vec![Some(region.source)];
    for (bound, what) in known.constants.iter().zip(["min", "max"]) {
        let constant = bound.map(|v| (graph.fresh_value_name(&format!("{name}_{what}")), Tensor::scalar_f32(v)));
        inputs.push(constant.map(|(name, tensor)| graph.add_constant(name, tensor)));
    }
    let node = &mut graph.nodes[id.0 as usize];
    node.op = known.op.to_owned();
    node.domain.clear();
    node.inputs = inputs;
    node.attrs = known.attrs;
    node.fusible_into = None;
    edits::absorb(graph, id, &region.nodes);
    Outcome::Fired
}

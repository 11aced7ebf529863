//! FUSE11 merge-arithmetic.

use crate::channel_affine::{is_constant_arithmetic, operands};
use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{DType, Graph, Node, NodeId, Tensor, ValueId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE11` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE11",
    name: "merge-arithmetic",
    summary: "Two sums, or two products, with constants behind each other become one.",
    why: "(x + a) + b = x + (a + b) and (x·a)·b = x·(a·b); Sub and Div count as sum and product. The constant is formed in \
          f64 and rounded once; one rounding to 8 bits is saved.",
    example: "mul = Mul(x, a) -> mul_out:float32[1, 2, 3, 3]\n\
              div = Div(mul_out, b) -> div_out:float32[1, 2, 3, 3]\n\
              =>\n\
              div = Mul(x, div_constant) -> div_out:float32[1, 2, 3, 3]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn is_sum(node: &Node) -> bool {
    node.is("Add") || node.is("Sub")
}

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let Some((x, _, _)) = operands(graph, node).filter(|_| is_constant_arithmetic(graph, node)) else { return false };
    let front = links.producer(x).map(|p| graph.node(p));
    front.is_some_and(|f| is_constant_arithmetic(graph, f) && is_sum(f) == is_sum(node))
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let (x, front, constant) = match guard(graph, links, id) {
        Ok(merged) => merged,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let name = graph.fresh_value_name(&format!("{}_constant", graph.node(id).name));
    let constant = graph.add_constant(name, constant);
    let node = &mut graph.nodes[id.0 as usize];
    node.op = if is_sum(node) { "Add" } else { "Mul" }.to_owned();
    node.inputs = vec![Some(x), Some(constant)];
    edits::absorb(graph, id, &[front, id]);
    Outcome::Fired
}

fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<(ValueId, NodeId, Tensor), String> {
    let node = graph.node(id);
    let (between, _, _) = operands(graph, node).ok_or("it has no constant operand")?;
    let front_id = links.producer(between).ok_or("no node makes its input")?;
    let front = graph.node(front_id);
    let (x, _, _) = operands(graph, front).ok_or("the node in front has no constant operand")?;
    if let Some(who) = links.also_seen(graph, between, id) {
        return Err(who);
    }
    let shape = &graph.value(x).shape;
    let kept = |v: ValueId| graph.value(v).shape == *shape;
    if !kept(between) || !node.outputs.iter().all(|v| kept(*v)) || graph.value(x).dtype != DType::F32 {
        return Err("a constant broadcasts the input, or the values are not float32".to_owned());
    }
    let ((a_shape, a), (b_shape, b)) = (constant(graph, front)?, constant(graph, node)?);
    let (long, shape) = if a.len() >= b.len() { (a.len(), a_shape) } else { (b.len(), b_shape) };
    let bare = |s: &[usize]| s.iter().skip_while(|&&d| d == 1).copied().collect::<Vec<_>>();
    if a.len() != 1 && b.len() != 1 && bare(a_shape) != bare(b_shape) {
        return Err(format!("the constants {a_shape:?} and {b_shape:?} vary along different axes"));
    }
    let at = |v: &[f64], i: usize| v[if v.len() == 1 { 0 } else { i }];
    let both = |i: usize| if is_sum(node) { at(&a, i) + at(&b, i) } else { at(&a, i) * at(&b, i) };
    let values: Vec<f32> = (0..long).map(|i| both(i) as f32).collect();
    if values.iter().any(|v| !v.is_finite()) {
        return Err("the merged constant would not be finite".to_owned());
    }
    if !is_sum(node) && values.contains(&0.0) {
        return Err("a merged factor would be 0".to_owned());
    }
    Ok((x, front_id, Tensor::from_f32(shape, values).map_err(|e| e.to_string())?))
}

/// Shape and values of what is added to, or multiplied with, the other operand.
fn constant<'g>(graph: &'g Graph, node: &Node) -> Result<(&'g [usize], Vec<f64>), String> {
    let (_, c, first) = operands(graph, node).ok_or("no constant")?;
    let tensor = graph.constant(c).ok_or("no constant")?;
    let values = tensor.to_f64s();
    let values = match (node.op.as_str(), first) {
        ("Add" | "Mul", _) => values,
        ("Sub", false) => values.into_iter().map(|v| -v).collect(),
        ("Div", false) => values.into_iter().map(|v| 1.0 / v).collect(),
        _ => return Err(format!("{} subtracts from, or divides, its constant", node.name)),
    };
    Ok((tensor.shape(), values))
}

//! FUSE23 recognize-softmax.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{Attr, Attrs, Graph, Node, NodeId, ValueId, ops};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE23` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE23",
    name: "recognize-softmax",
    summary: "Exp divided by its sum along one axis becomes Softmax, with whatever was subtracted in front of it.",
    why: "Shares of a sum, written as ReduceMax, Sub, Exp, ReduceSum and Div, would be five nodes with scales of their own, and \
          exponentials do not fit 8 bits. Softmax does not change when one number is subtracted from all elements of a row, \
          so it does not matter what that number is, nor whether any is.",
    example: "max = ReduceMax(x) -> max_out:float32[2, 3, 1]\n\
              sub = Sub(x, max_out) -> sub_out:float32[2, 3, 8]\n\
              exp = Exp(sub_out) -> exp_out:float32[2, 3, 8]\n\
              sum = ReduceSum(exp_out, sum_axes) -> sum_out:float32[2, 3, 1]\n\
              div = Div(exp_out, sum_out) -> div_out:float32[2, 3, 8]\n\
              =>\n\
              div = Softmax(x) -> div_out:float32[2, 3, 8]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

/// Operators that only give a sum the shape that it is divided in.
const RESHAPES: [&str; 3] = ["Expand", "Reshape", "Unsqueeze"];

/// What a division by a sum of exponentials is made of.
struct Shares {
    source: ValueId,
    axis: usize,
    /// The nodes in graph order, the division last.
    nodes: Vec<NodeId>,
}

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    parts(graph, links, id).is_some()
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let Some(found) = parts(graph, links, id) else {
        return Outcome::Skipped("it divides no exponentials by their sum".to_owned());
    };
    for inner in found.nodes.iter().filter(|n| **n != id) {
        let Some(&v) = graph.node(*inner).outputs.first() else { continue };
        let outside = links.readers(v).iter().find(|r| !found.nodes.contains(r));
        let name = &graph.node(*inner).name;
        match outside {
            _ if graph.is_output(v) => {
                return Outcome::Skipped(format!("the output of {name} is the model output {}", graph.value(v).name));
            }
            Some(r) => {
                return Outcome::Skipped(format!("the output of {name} is also read by {}", graph.node(*r).name));
            }
            None => {}
        }
    }
    let node = &mut graph.nodes[id.0 as usize];
    node.op = "Softmax".to_owned();
    node.inputs = vec![Some(found.source)];
    node.attrs = Attrs::of([("axis", Attr::Int(found.axis as i64))]);
    edits::absorb(graph, id, &found.nodes);
    Outcome::Fired
}

/// The parts of `Exp(source - one number a row) / ReduceSum(the same)`, or of the product with the sum's reciprocal.
fn parts(graph: &Graph, links: &Links, id: NodeId) -> Option<Shares> {
    let node = graph.node(id);
    let mut nodes = vec![id];
    let (exp, total) = match node {
        n if n.is("Div") => (n.input(0)?, n.input(1)?),
        n if n.is("Mul") => {
            let is_inverse = |v: &ValueId| links.producer(*v).is_some_and(|p| graph.node(p).is("Reciprocal"));
            let (a, b) = (n.input(0)?, n.input(1)?);
            let (exp, inverse) = if is_inverse(&b) { (a, b) } else { (b, a) };
            let inverse = links.producer(inverse).filter(|p| graph.node(*p).is("Reciprocal"))?;
            nodes.push(inverse);
            (exp, graph.node(inverse).input(0)?)
        }
        _ => return None,
    };
    let maker = links.producer(exp).filter(|p| graph.node(*p).is("Exp"))?;
    nodes.push(maker);
    let shape = &graph.value(exp).shape;
    let mut sum = links.producer(total)?;
    nodes.push(sum);
    while RESHAPES.iter().any(|op| graph.node(sum).is(op)) {
        sum = links.producer_of(graph, sum, 0)?;
        nodes.push(sum);
    }
    let axis = summed(graph, graph.node(sum), exp)?;
    let row = |v: ValueId| {
        let expanded = links.producer(v).filter(|p| graph.node(*p).is("Expand"));
        let narrow = expanded.and_then(|p| graph.node(p).input(0)).unwrap_or(v);
        one_a_row(&graph.value(narrow).shape, shape, axis)
    };
    if !row(total) || graph.value(*node.outputs.first()?).shape != *shape {
        return None;
    }
    let mut source = graph.node(maker).input(0)?;
    if let Some(sub) = links.producer(source).filter(|p| graph.node(*p).is("Sub")) {
        let (x, number) = (graph.node(sub).input(0)?, graph.node(sub).input(1)?);
        if graph.value(x).shape == *shape && row(number) {
            nodes.push(sub);
            source = x;
            subtracted(graph, links, number, &mut nodes);
        }
    }
    nodes.sort();
    nodes.dedup();
    Some(Shares { source, axis, nodes })
}

/// Adds what only makes the subtracted number: a ReduceMax, shapes, bounds.
fn subtracted(graph: &Graph, links: &Links, number: ValueId, nodes: &mut Vec<NodeId>) {
    let mut v = number;
    while let Some(p) = links.producer(v).filter(|_| !graph.is_output(v)) {
        let node = graph.node(p);
        let simple = node.is("ReduceMax") || node.is("Max") || RESHAPES.iter().any(|op| node.is(op));
        let dynamic: Vec<ValueId> =
            node.inputs.iter().flatten().copied().filter(|v| graph.constant(*v).is_none()).collect();
        let ([x], true) = (&dynamic[..], simple && links.readers(v).iter().all(|r| nodes.contains(r))) else { return };
        nodes.push(p);
        if node.is("ReduceMax") {
            return;
        }
        v = *x;
    }
}

/// The one axis along which a node sums this value.
fn summed(graph: &Graph, node: &Node, of: ValueId) -> Option<usize> {
    let rank = graph.value(of).shape.len();
    if !node.is("ReduceSum") || node.input(0) != Some(of) {
        return None;
    }
    let axes = match node.input(1) {
        Some(_) => graph.const_input(node, 1)?.to_i64s().ok()?,
        None => node.attrs.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
    };
    match axes[..] {
        [axis] => ops::axis(axis, rank),
        [] if rank == 1 && node.attrs.int("noop_with_empty_axes", 0) == 0 => Some(0),
        _ => None,
    }
}

/// Whether a shape, broadcast against `shape`, has one element for each row along `axis`.
fn one_a_row(other: &[usize], shape: &[usize], axis: usize) -> bool {
    let Some(missing) = shape.len().checked_sub(other.len()) else { return false };
    let fits = |(i, &n): (usize, &usize)| n == 1 || (i + missing != axis && n == shape[i + missing]);
    other.iter().enumerate().all(fits)
}

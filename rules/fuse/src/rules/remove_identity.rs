//! FUSE02 remove-identity.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{Graph, Node, NodeId, ValueId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE02` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE02",
    name: "remove-identity",
    summary: "A node whose result equals its input is removed: Identity, Dropout, and Pad, Slice, Reshape, Flatten, \
              Expand, Tile, Transpose, Cast, Concat, Sum, Resize or a pool that change nothing, sums with 0 and products \
              with 1.",
    why: "It costs a pass over memory and hides neighbours from each other. A node between two model inputs or outputs \
          stays, because those names are the model's contract.",
    example: "conv = Conv(x, conv_w, conv_b) -> conv_out:float32[1, 2, 3, 3]\n\
              same = Identity(conv_out) -> same_out:float32[1, 2, 3, 3]\n\
              sigmoid = Sigmoid(same_out) -> sigmoid_out:float32[1, 2, 3, 3]\n\
              =>\n\
              conv = Conv(x, conv_w, conv_b) -> conv_out:float32[1, 2, 3, 3]\n\
              sigmoid = Sigmoid(conv_out) -> sigmoid_out:float32[1, 2, 3, 3]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    changes_nothing(graph, graph.node(id)).unwrap_or(false)
}

/// Which input is passed on: the other operand of a constant.
fn operand(graph: &Graph, node: &Node) -> usize {
    let second = (node.is("Add") || node.is("Mul")) && graph.const_input(node, 0).is_some();
    usize::from(second)
}

/// `None` when an input or output that decides is missing.
fn changes_nothing(graph: &Graph, node: &Node) -> Option<bool> {
    let (x, y) = (graph.value(node.input(operand(graph, node))?), graph.value(*node.outputs.first()?));
    let same_type = x.dtype == y.dtype && x.shape == y.shape;
    if !node.domain.is_empty() || !same_type {
        return Some(false);
    }
    let all = |i: usize, wanted: i64| match node.input(i) {
        None => Some(true),
        Some(v) => Some(graph.constant(v)?.to_i64s().ok()?.iter().all(|&e| e == wanted)),
    };
    let number =
        |i: usize, wanted: f64| graph.const_input(node, i).is_some_and(|t| t.to_f64s().iter().all(|&v| v == wanted));
    match node.op.as_str() {
        "Add" => Some(number(1 - operand(graph, node), 0.0)),
        "Mul" => Some(number(1 - operand(graph, node), 1.0)),
        "Sub" => Some(number(1, 0.0)),
        "Div" | "Pow" => Some(number(1, 1.0)),
        "Resize" => {
            let crops = node.attrs.str("coordinate_transformation_mode", "half_pixel").starts_with("tf_");
            let scaled = node.input(2).filter(|_| node.input(3).is_none());
            Some(!crops && scaled.is_none_or(|_| number(2, 1.0)))
        }
        "MaxPool" | "AveragePool" => {
            let ones = |name: &str, one: i64| node.attrs.ints(name).is_none_or(|v| v.iter().all(|&v| v == one));
            let window = node.attrs.ints("kernel_shape")?.iter().all(|&v| v == 1);
            Some(node.outputs.len() == 1 && window && ones("strides", 1) && ones("pads", 0))
        }
        "Tile" => all(1, 1),
        "Identity" | "Dropout" | "Cast" | "Reshape" | "Flatten" | "Expand" => Some(true),
        "Concat" | "Sum" => Some(node.inputs.len() == 1),
        "Pad" => all(1, 0),
        "Slice" => all(4, 1),
        "Transpose" => Some(node.attrs.ints("perm")?.iter().enumerate().all(|(i, &p)| p == i as i64)),
        _ => Some(false),
    }
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let (x, y) = match guard(graph, links, id) {
        Ok(pair) => pair,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let node = graph.node(id).clone();
    if let Some(survivor) = links.producer(x).or_else(|| links.readers(y).first().copied()) {
        edits::cover(graph, survivor, &node);
    }
    if graph.is_output(y) {
        // The producer takes over the model output's name.
        edits::redirect_readers(graph, x, y);
        let made = graph.nodes.iter_mut().flat_map(|n| n.outputs.iter_mut()).filter(|v| **v == x);
        made.for_each(|v| *v = y);
    } else {
        edits::redirect_readers(graph, y, x);
    }
    edits::remove(graph, id);
    Outcome::Fired
}

/// The values before and after the node.
fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<(ValueId, ValueId), String> {
    let node = graph.node(id);
    let (Some(x), Some(&y)) = (node.input(operand(graph, node)), node.outputs.first()) else {
        return Err("its input or output is missing".to_owned());
    };
    if node.is("Dropout") {
        dropout_is_inference(graph, links, node)?;
    }
    if !graph.is_output(y) {
        return Ok((x, y));
    }
    let (x_name, y_name) = (&graph.value(x).name, &graph.value(y).name);
    if graph.is_output(x) {
        return Err(format!("its input {x_name} and its result {y_name} are both model outputs"));
    }
    match links.producer(x) {
        Some(_) => Ok((x, y)),
        None => Err(format!("it connects {x_name}, which no node makes, to the model output {y_name}")),
    }
}

fn dropout_is_inference(graph: &Graph, links: &Links, node: &Node) -> Result<(), String> {
    let seen = |v: &&ValueId| graph.is_output(**v) || !links.readers(**v).is_empty();
    if let Some(mask) = node.outputs.iter().skip(1).find(seen) {
        return Err(format!("its mask {} is read", graph.value(*mask).name));
    }
    match node.input(2) {
        None => Ok(()),
        Some(v) => match graph.constant(v).map(|t| t.to_f64s().iter().all(|&e| e == 0.0)) {
            Some(true) => Ok(()),
            Some(false) => Err("training_mode is set".to_owned()),
            None => Err("training_mode is not constant".to_owned()),
        },
    }
}

//! Which nodes may move int32 accumulators. Each channel has a scale of its own, so the channels must stay one axis; where
//! a Slice or Split cuts it, the scales are cut with it.

use ptq_ir::{Graph, Node};

/// Where axis `axis` of a moving node's input is found in its output, if it stays one axis of the same extent and
/// meaning; per-channel parameters follow it.
pub fn channel_axis_after(graph: &Graph, node: &Node, axis: usize) -> Option<usize> {
    let x = &graph.value(node.input(0)?).shape;
    let y = &graph.value(*node.outputs.first()?).shape;
    if node.op == "Transpose" {
        let reversed: Vec<i64> = (0..x.len() as i64).rev().collect();
        let perm = node.attrs.ints("perm").unwrap_or(&reversed);
        return perm.iter().position(|&p| p == axis as i64);
    }
    let outer: usize = x.get(..axis)?.iter().product();
    let extent = *x.get(axis)?;
    (0..y.len()).find(|&a| y[a] == extent && y[..a].iter().product::<usize>() == outer)
}

/// The axis of the channels behind a node that moves int32, whose input has them at `axis`.
///
/// # Errors
/// Why the node cannot move int32.
pub(crate) fn axis_behind(graph: &Graph, node: &Node, axis: usize) -> Result<usize, String> {
    let channels = node.input(0).and_then(|v| graph.value(v).shape.get(axis)).copied().unwrap_or(0);
    let whose = format!("channel axis {axis} of {channels} channels, each with a scale of its own");
    match node.op.as_str() {
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" => {
            let found = channel_axis_after(graph, node, axis);
            found.ok_or_else(|| format!("the {} {}", node.op, torn(graph, node, axis, &whose)))
        }
        "Slice" if keeps_channels(graph, node, axis) || !has_steps(graph, node) => Ok(axis),
        "Slice" => Err(format!("the Slice takes every other of the {whose}, and the scales are cut in one piece only")),
        "Split" if node.outputs.iter().all(|v| is_end(graph, *v)) => Ok(axis),
        "Split" => Err("a part of the Split is read by another node, which takes int8".to_owned()),
        "DepthToSpace" => Err(format!("the DepthToSpace spreads the {whose}, over height and width")),
        other => Err(format!("{other} is computed on int8 or int16 only")),
    }
}

/// What becomes of an axis that is not found again: parts of it, or a part of another.
fn torn(graph: &Graph, node: &Node, axis: usize, whose: &str) -> String {
    let parts = || {
        let x = &graph.value(node.input(0)?).shape;
        let y = &graph.value(*node.outputs.first()?).shape;
        let (outer, extent) = (x.get(..axis)?.iter().product::<usize>(), *x.get(axis)?);
        let from = (0..y.len()).rfind(|&a| y[..a].iter().product::<usize>() == outer)?;
        (from + 1..=y.len()).find(|&to| y[from..to].iter().product::<usize>() == extent).map(|to| to - from)
    };
    match parts() {
        Some(parts) => format!("splits the {whose}, over {parts} axes"),
        None => format!("merges the {whose}, with another axis"),
    }
}

/// Whether a node's input and output have the same channels.
fn keeps_channels(graph: &Graph, node: &Node, axis: usize) -> bool {
    let extent = |v: Option<ptq_ir::ValueId>| v.and_then(|v| graph.value(v).shape.get(axis));
    extent(node.input(0)) == extent(node.outputs.first().copied())
}

/// Whether a Slice has a step other than 1, or steps that are not constant.
fn has_steps(graph: &Graph, node: &Node) -> bool {
    let steps = graph.const_input(node, 4).and_then(|t| t.to_i64s().ok());
    node.input(4).is_some() && steps.is_none_or(|steps| steps.iter().any(|&s| s != 1))
}

/// Whether a value is a model output that nobody reads.
fn is_end(graph: &Graph, value: ptq_ir::ValueId) -> bool {
    let read = graph.nodes.iter().any(|n| n.inputs.contains(&Some(value)));
    graph.is_output(value) && !read
}

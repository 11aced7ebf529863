//! Groups of nodes that compute a function of one number, element by element. Called by the rules that replace them.

use crate::links::Links;
use crate::moving::is_element_wise;
use ptq_ir::ops::{FunctionStep, Operand, ScalarFunction, is_function};
use ptq_ir::{Attr, DType, Graph, Node, NodeId, ValueId};

/// Element-wise operators that stay nodes of their own: they jump, and a jump is not where a table would have it.
const STEPS: [&str; 3] = ["Ceil", "Floor", "Round"];

/// Most nodes of a region.
const MAX_NODES: usize = 24;

/// Nodes whose last result is a function of `source`, element by element, and that nobody else reads.
#[derive(Debug)]
pub(crate) struct Region {
    /// What the function is applied to.
    pub(crate) source: ValueId,
    /// The nodes in graph order; the last one makes the result.
    pub(crate) nodes: Vec<NodeId>,
    /// What they compute.
    pub(crate) function: ScalarFunction,
}

/// The regions that end in a node, each one a part of the next, as far back as `may_grow` lets them.
pub(crate) fn regions(
    graph: &Graph,
    links: &Links,
    end: NodeId,
    may_grow: impl Fn(&Graph, NodeId) -> bool,
) -> Vec<Region> {
    let mut found = Vec::new();
    let Some(&result) = graph.node(end).outputs.first() else { return found };
    let shape = &graph.value(result).shape;
    if !maps_numbers(graph, graph.node(end), shape) || !may_grow(graph, end) {
        return found;
    }
    let mut nodes = vec![end];
    while nodes.len() <= MAX_NODES {
        let frontier = frontier(graph, links, &nodes);
        if let [source] = frontier[..]
            && let Some(function) = function(graph, source, &nodes)
        {
            found.push(Region { source, nodes: nodes.clone(), function });
        }
        let Some((next, v)) = frontier.iter().filter_map(|&v| Some((links.producer(v)?, v))).max() else { break };
        let inside = links.readers(v).iter().all(|r| nodes.contains(r)) && !graph.is_output(v);
        if !inside || !maps_numbers(graph, graph.node(next), shape) || !may_grow(graph, next) {
            break;
        }
        let at = nodes.partition_point(|n| *n < next);
        nodes.insert(at, next);
    }
    found
}

/// Whether a node maps float32 tensors of this shape element by element, every other operand being one number.
fn maps_numbers(graph: &Graph, node: &Node, shape: &[usize]) -> bool {
    let fits = |v: &ValueId| {
        let value = graph.value(*v);
        let number = graph.constant(*v).is_some_and(|t| t.len() == 1) && value.shape.len() <= shape.len();
        value.dtype == DType::F32 && (number || (graph.constant(*v).is_none() && value.shape == shape))
    };
    let known = is_element_wise(node) && !STEPS.iter().any(|op| node.is(op));
    let numbers = || node.attrs.0.values().all(|a| matches!(a, Attr::Float(_)));
    known
        && node.outputs.len() == 1
        && node.outputs.iter().all(|v| graph.value(*v).dtype == DType::F32 && graph.value(*v).shape == shape)
        && node.inputs.iter().flatten().all(fits)
        && (is_function(node) || numbers())
}

/// The values that nodes read and do not make, constants aside.
fn frontier(graph: &Graph, links: &Links, nodes: &[NodeId]) -> Vec<ValueId> {
    let outside = |v: &ValueId| graph.constant(*v).is_none() && links.producer(*v).is_none_or(|p| !nodes.contains(&p));
    let read = nodes.iter().flat_map(|n| graph.node(*n).inputs.iter().flatten().copied());
    let mut values: Vec<ValueId> = read.filter(outside).collect();
    values.sort();
    values.dedup();
    values
}

/// The nodes as steps; a function among them is written out.
fn function(graph: &Graph, source: ValueId, nodes: &[NodeId]) -> Option<ScalarFunction> {
    let mut steps: Vec<FunctionStep> = Vec::new();
    let mut made: Vec<(ValueId, Operand)> = vec![(source, Operand::Argument)];
    for &id in nodes {
        let node = graph.node(id);
        let operand = |v: &Option<ValueId>| match v {
            None => Some(Operand::Omitted),
            Some(v) => match graph.constant(*v) {
                Some(t) => t.f32s().ok()?.first().copied().map(Operand::Number),
                None => made.iter().find(|(m, _)| m == v).map(|(_, o)| *o),
            },
        };
        let operands: Vec<Operand> = node.inputs.iter().map(operand).collect::<Option<_>>()?;
        if is_function(node) {
            let inner = ScalarFunction::of(&node.attrs)?;
            let (first, argument) = (steps.len(), *operands.first()?);
            steps.extend(inner.steps.into_iter().map(|mut step| {
                for o in &mut step.operands {
                    *o = match *o {
                        Operand::Argument => argument,
                        Operand::Step(k) => Operand::Step(k + first),
                        other => other,
                    };
                }
                step
            }));
        } else {
            steps.push(FunctionStep { op: node.op.clone(), operands, attrs: node.attrs.clone() });
        }
        made.push((*node.outputs.first()?, Operand::Step(steps.len() - 1)));
    }
    Some(ScalarFunction { steps })
}

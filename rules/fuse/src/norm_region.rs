//! Groups of nodes that normalize over some axes, however they are written. Called by FUSE14.

use crate::links::Links;
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, ValueId, numel, ops};
use std::collections::BTreeMap;

/// Operators of which decomposed normalizations are made.
const PARTS: &[&str] = &[
    "Add",
    "Clip",
    "Div",
    "Expand",
    "Max",
    "Mul",
    "Neg",
    "Pow",
    "Reciprocal",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Unsqueeze",
];
/// Most nodes of a group.
const MAX_NODES: usize = 32;
/// Allowed difference from the operator, as a share of the largest result.
const TOLERANCE: f32 = 1e-4;
/// Magnitudes of the inputs that are compared; small ones show the epsilon.
const MAGNITUDES: [f32; 4] = [1.0, 0.1, 0.004, 5.0];

/// A group of nodes that computes a normalization of `source`.
pub(crate) struct Normalization {
    /// What is normalized.
    pub(crate) source: ValueId,
    /// Order of the axes in which those that are normalized over are the last ones; `None` where they are already.
    pub(crate) perm: Option<Vec<usize>>,
    /// The nodes in graph order; the last one makes the result.
    pub(crate) nodes: Vec<NodeId>,
    /// `LayerNormalization` or `InstanceNormalization`.
    pub(crate) op: &'static str,
    /// Its attributes.
    pub(crate) attrs: Attrs,
    /// Factor of each element of a row, or of each channel.
    pub(crate) scale: Tensor,
    /// Addend likewise.
    pub(crate) bias: Tensor,
}

/// The normalization that ends in a node: found by growing backwards to one source, recognized by comparing results on
/// inputs of several magnitudes with the operator, for every factor, addend and epsilon among the group's constants.
pub(crate) fn find(graph: &Graph, links: &Links, end: NodeId) -> Option<Normalization> {
    let (source, nodes) = grow(graph, links, end)?;
    let shape = &graph.value(source).shape;
    let axes = reduced(graph, &nodes, shape.len())?;
    let axis = shape.len() - axes.len();
    let order: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).chain(axes.iter().copied()).collect();
    let channels = (axis == 2).then(|| ("InstanceNormalization", vec![shape[order[1]]]));
    let perm = Some(order).filter(|p| !p.is_sorted());
    let group = Group { graph, source, nodes: &nodes };
    let turned = |t: Tensor| match &perm {
        Some(perm) => transposed(&t, perm),
        None => Some(t),
    };
    let inputs: Vec<Tensor> = MAGNITUDES.iter().map(|m| wave(shape, *m)).collect::<Option<_>>()?;
    let wanted: Vec<Tensor> = inputs.iter().map(|x| turned(group.run(x)?)).collect::<Option<_>>()?;
    let inputs: Vec<Tensor> = inputs.into_iter().map(turned).collect::<Option<_>>()?;
    let rows = ("LayerNormalization", axes.iter().map(|&a| shape[a]).collect());
    for (op, shape) in std::iter::once(rows).chain(channels) {
        for (scale, bias) in group.parameters(&shape)? {
            for epsilon in group.numbers() {
                let mut attrs = Attrs::of([("epsilon", Attr::Float(epsilon))]);
                if op == "LayerNormalization" {
                    attrs.set("axis", Attr::Int(axis as i64));
                }
                if agrees(op, &attrs, &scale, &bias, &inputs, &wanted) {
                    return Some(Normalization { source, perm, nodes, op, attrs, scale, bias });
                }
            }
        }
    }
    None
}

fn transposed(t: &Tensor, perm: &[usize]) -> Option<Tensor> {
    let attrs = Attrs::of([("perm", Attr::Ints(perm.iter().map(|&a| a as i64).collect()))]);
    ptq_exec::eval("Transpose", "", &attrs, &[Some(t)]).ok()?.pop()
}

/// The smallest group with at least two reductions that reads one value.
fn grow(graph: &Graph, links: &Links, end: NodeId) -> Option<(ValueId, Vec<NodeId>)> {
    let mut nodes = vec![end];
    let reduces = |n: &NodeId| graph.node(*n).op.starts_with("Reduce");
    let shape = &graph.value(*graph.node(end).outputs.first()?).shape;
    while nodes.len() <= MAX_NODES {
        if !nodes.iter().all(|n| is_part(graph, graph.node(*n))) {
            return None;
        }
        let read = nodes.iter().flat_map(|n| graph.node(*n).inputs.iter().flatten().copied());
        let outside =
            |v: &ValueId| graph.constant(*v).is_none() && links.producer(*v).is_none_or(|p| !nodes.contains(&p));
        let mut frontier: Vec<ValueId> = read.filter(outside).collect();
        frontier.sort();
        frontier.dedup();
        if let [source] = frontier[..]
            && nodes.iter().filter(|n| reduces(n)).count() >= 2
        {
            return (graph.value(source).shape == *shape && !shape.is_empty()).then_some((source, nodes));
        }
        let (next, v) = frontier.iter().filter_map(|&v| Some((links.producer(v)?, v))).max()?;
        if graph.is_output(v) || !links.readers(v).iter().all(|r| nodes.contains(r)) {
            return None;
        }
        let at = nodes.partition_point(|n| *n < next);
        nodes.insert(at, next);
    }
    None
}

fn is_part(graph: &Graph, node: &Node) -> bool {
    let floats = node.outputs.iter().all(|v| graph.value(*v).dtype == DType::F32);
    node.domain.is_empty() && PARTS.contains(&node.op.as_str()) && node.outputs.len() == 1 && floats
}

/// The axes over which all reductions of a group go, sorted.
fn reduced(graph: &Graph, nodes: &[NodeId], rank: usize) -> Option<Vec<usize>> {
    let mut all: Option<Vec<usize>> = None;
    for node in nodes.iter().map(|n| graph.node(*n)).filter(|n| n.op.starts_with("Reduce")) {
        let axes = match (node.attrs.ints("axes"), graph.const_input(node, 1)) {
            (Some(axes), _) => axes.to_vec(),
            (None, Some(axes)) => axes.to_i64s().ok()?,
            (None, None) => return None,
        };
        let mut axes: Vec<usize> = axes.iter().map(|&a| ops::axis(a, rank)).collect::<Option<_>>()?;
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() || all.as_ref().is_some_and(|a| *a != axes) {
            return None;
        }
        all = Some(axes);
    }
    all
}

/// Numbers that look like noise, around a tenth of their magnitude.
fn wave(shape: &[usize], magnitude: f32) -> Option<Tensor> {
    let mut state = 7u32;
    let values = (0..numel(shape)?).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        magnitude * ((state >> 8) as f32 / 8_388_608.0 - 0.9)
    });
    Tensor::from_f32(shape, values.collect()).ok()
}

fn agrees(op: &str, attrs: &Attrs, scale: &Tensor, bias: &Tensor, inputs: &[Tensor], wanted: &[Tensor]) -> bool {
    let close = |(x, wanted): (&Tensor, &Tensor)| {
        let found = ptq_exec::eval(op, "", attrs, &[Some(x), Some(scale), Some(bias)]).ok()?.pop()?;
        let (a, b) = (found.f32s().ok()?, wanted.f32s().ok()?);
        let reach = b.iter().map(|v| v.abs()).fold(0.0, f32::max);
        Some(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE * reach))
    };
    inputs.iter().zip(wanted).all(|pair| close(pair) == Some(true))
}

struct Group<'a> {
    graph: &'a Graph,
    source: ValueId,
    nodes: &'a [NodeId],
}

impl Group<'_> {
    /// The group's result on one input.
    fn run(&self, x: &Tensor) -> Option<Tensor> {
        let mut made: BTreeMap<ValueId, Tensor> = BTreeMap::from([(self.source, x.clone())]);
        for &id in self.nodes {
            let node = self.graph.node(id);
            let operand = |v: &Option<ValueId>| v.and_then(|v| made.get(&v).or_else(|| self.graph.constant(v)));
            let inputs: Vec<Option<&Tensor>> = node.inputs.iter().map(operand).collect();
            let result = ptq_exec::eval(&node.op, &node.domain, &node.attrs, &inputs).ok()?.pop()?;
            made.insert(*node.outputs.first()?, result);
        }
        let last = self.graph.node(*self.nodes.last()?);
        made.remove(last.outputs.first()?)
    }

    fn constants(&self) -> impl Iterator<Item = &Tensor> {
        let read = self.nodes.iter().flat_map(|n| self.graph.node(*n).inputs.iter().flatten());
        read.filter_map(|v| self.graph.constant(*v)).filter(|t| t.dtype() == DType::F32)
    }

    /// Pairs of factor and addend of this shape: none, or one of the constants, in every assignment.
    fn parameters(&self, shape: &[usize]) -> Option<Vec<(Tensor, Tensor)>> {
        let n = numel(shape)?;
        let plain = |v: f32| Tensor::from_f32(shape, vec![v; n]).ok();
        let given: Vec<Tensor> = self.constants().filter(|t| t.len() == n && n > 1).take(3).cloned().collect();
        let given: Vec<Tensor> = given.into_iter().map(|t| t.reshaped(shape).ok()).collect::<Option<_>>()?;
        let scales: Vec<Tensor> = std::iter::once(plain(1.0)?).chain(given.clone()).collect();
        let biases: Vec<Tensor> = std::iter::once(plain(0.0)?).chain(given).collect();
        Some(scales.iter().flat_map(|s| biases.iter().map(move |b| (s.clone(), b.clone()))).collect())
    }

    /// Small numbers among the constants.
    fn numbers(&self) -> Vec<f32> {
        let one = self.constants().filter(|t| t.len() == 1).filter_map(|t| t.f32s().ok()?.first().copied());
        let mut out: Vec<f32> = one.filter(|v| *v > 0.0 && *v < 0.1).collect();
        out.sort_by(f32::total_cmp);
        out.dedup();
        out
    }
}

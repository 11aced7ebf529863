//! The integer program node by node: every node's result against the float nodes that it stands for, on the tensors that
//! the node itself read. Steps of earlier nodes therefore do not add up, and a wrong constant shows at its own node.

use super::report::Divergence;
use super::trace::{Entry, Trace};
use super::{Metric, Stage, VerifyError};
use crate::Figure;
use crate::dequantize::real_values;
use ptq_exec::{ExecError, eval_outputs};
use ptq_ir::{Graph, QGraph, QNode, QOp, QTensor, Tensor, TensorId, ValueId, channel_scales, unfold_from_weights};
use ptq_kernels::requant::quantize;
use std::collections::BTreeMap;

/// What a float or int32 result is measured in: this share of its largest magnitude counts as one step.
const FLOAT_STEP: f64 = 1e-4;

/// Comparisons in the program's order.
pub(super) struct Local {
    pub(super) compared: usize,
    pub(super) first: Option<Divergence>,
    pub(super) worst: Option<Divergence>,
}

/// Compares every node of the program that stands for nodes of the graph.
///
/// # Errors
/// When a float node does not run.
pub(super) fn compare(graph: &Graph, program: &QGraph, trace: &Trace, limit: f64) -> Result<Local, VerifyError> {
    let made: BTreeMap<&str, &Entry> = trace.entries.iter().map(|e| (e.name.as_str(), e)).collect();
    let mut local = Local { compared: 0, first: None, worst: None };
    for node in program.nodes.iter().filter(|n| !n.covers.is_empty()) {
        let results = reference(graph, program, &made, node)
            .map_err(|source| VerifyError::Run { stage: Stage::Calibrated, source: source.at(&node.name) })?;
        for entry in &trace.entries {
            let Some(expected) = results.get(entry.source.as_str()).filter(|_| is_result(program, node, entry)) else {
                continue;
            };
            local.compared += 1;
            let figure = steps(expected, entry);
            let here = || Divergence { node: entry.node.clone(), value: entry.name.clone(), figure: Figure(figure) };
            if !Metric::Steps.accepts(figure, limit) && local.first.is_none() {
                local.first = Some(here());
            }
            if local.worst.as_ref().is_none_or(|w| Metric::Steps.is_worse(figure, w.figure.0)) {
                local.worst = Some(here());
            }
        }
    }
    Ok(local)
}

/// Whether the node, or one that makes another part of the same float node's results, made this tensor.
fn is_result(program: &QGraph, node: &QNode, entry: &Entry) -> bool {
    let of = |n: &QNode| n.outputs.iter().any(|&t| program.tensor(t).name == entry.name);
    of(node) || program.nodes.iter().any(|n| n.covers.is_empty() && n.inputs == node.inputs && of(n))
}

/// Results of the float nodes that an integer node covers, by value name, on what the node read.
fn reference(
    graph: &Graph,
    program: &QGraph,
    made: &BTreeMap<&str, &Entry>,
    node: &QNode,
) -> Result<BTreeMap<String, Tensor>, ExecError> {
    let mut results: BTreeMap<String, Tensor> = BTreeMap::new();
    let reads = reads(graph, program, node);
    for name in &node.covers {
        let Some(float) = graph.find_node(name).map(|id| graph.node(id)) else { continue };
        let operand = |v: ValueId| -> Result<Tensor, ExecError> {
            let value = graph.value(v);
            if let Some(t) = results.get(&value.name) {
                return Ok(t.clone());
            }
            match (reads.get(value.name.as_str()), graph.constant(v)) {
                (Some(&id), _) => {
                    let data = read(program.tensor(id), made)?;
                    if node.inputs.get(1) == Some(&id) { unfolded(program, node, data) } else { Ok(data) }
                }
                (None, Some(constant)) => Ok(constant.clone()),
                (None, None) => Err(missing(&value.name)),
            }
        };
        let inputs = float.inputs.iter().map(|v| v.map(operand).transpose()).collect::<Result<Vec<_>, _>>()?;
        let inputs: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
        let outputs = eval_outputs(&float.op, &float.domain, &float.attrs, &inputs, float.outputs.len())?;
        results.extend(float.outputs.iter().map(|&v| graph.value(v).name.clone()).zip(outputs));
    }
    Ok(results)
}

/// The tensors that a node reads, by the value that each stands for. Where a float node becomes several, the last of which covers it,
/// also those that its steps before read.
fn reads<'p>(graph: &Graph, program: &'p QGraph, node: &'p QNode) -> BTreeMap<&'p str, TensorId> {
    let mut found = BTreeMap::new();
    let mut open = vec![node];
    while let Some(step) = open.pop() {
        for &id in &step.inputs {
            let source = program.tensor(id).source.as_str();
            let inner = program.nodes.iter().find(|n| n.covers.is_empty() && n.outputs.contains(&id));
            match inner.filter(|_| graph.find_value(source).is_none()) {
                Some(before) => open.push(before),
                None => _ = found.entry(source).or_insert(id),
            }
        }
    }
    found
}

/// Weights without the channel scales of the input, which are folded into them.
fn unfolded(program: &QGraph, node: &QNode, weights: Tensor) -> Result<Tensor, ExecError> {
    let QOp::Conv(conv) = &node.op else { return Ok(weights) };
    let input = node.inputs.first().and_then(|&x| program.tensor(x).quant.as_ref());
    match input.and_then(channel_scales) {
        Some(scales) => Ok(unfold_from_weights(&weights, conv.geom.group, scales)?),
        None => Ok(weights),
    }
}

/// A tensor as the float graph sees it.
fn read(tensor: &QTensor, made: &BTreeMap<&str, &Entry>) -> Result<Tensor, ExecError> {
    let data = tensor.data.as_ref().or_else(|| made.get(tensor.name.as_str()).map(|e| &e.tensor));
    let data = data.ok_or_else(|| missing(&tensor.name))?;
    match &tensor.quant {
        None => Ok(data.clone()),
        Some(params) => {
            let values = real_values(data, Some(params)).into_iter().map(|v| v as f32).collect();
            Ok(Tensor::from_f32(data.shape(), values)?)
        }
    }
}

fn missing(name: &str) -> ExecError {
    ExecError::Input { name: name.to_owned(), why: "was never made".to_owned() }
}

/// The largest difference in steps: of the tensor's scale where it is an 8-bit one (the reference is rounded to it
/// first), otherwise of [`FLOAT_STEP`]. NaN when the shapes differ.
fn steps(expected: &Tensor, entry: &Entry) -> f64 {
    let actual = entry.tensor.to_f64s();
    if expected.shape() != entry.tensor.shape() {
        return f64::NAN;
    }
    let range = entry.quant.as_ref().and_then(|q| Some((q, q.dtype.quant_range()?)));
    if let (Some((params, (lo, hi))), Ok(values)) = (range, expected.f32s()) {
        let (channels, inner) = match params.axis {
            Some(axis) => (params.scale.len().max(1), expected.shape().iter().skip(axis + 1).product::<usize>().max(1)),
            None => (1, 1),
        };
        let apart = values.iter().zip(&actual).enumerate().map(|(i, (&e, &a))| {
            let c = i / inner % channels;
            (f64::from(quantize(e, params.scale[c], params.zero_point[c], lo, hi)) - a).abs()
        });
        return apart.fold(0.0, f64::max);
    }
    let (expected, actual) = (expected.to_f64s(), entry.real_values());
    let reach = expected.iter().map(|v| v.abs()).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let apart = expected
        .iter()
        .zip(&actual)
        .map(|(&e, &a)| if e == a || (e.is_nan() && a.is_nan()) { 0.0 } else { (e - a).abs() });
    let largest = apart.fold(0.0, |m: f64, v| if m.is_nan() || v.is_nan() { f64::NAN } else { m.max(v) });
    if largest == 0.0 { 0.0 } else { largest / (reach * FLOAT_STEP) }
}

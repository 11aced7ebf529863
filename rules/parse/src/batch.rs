//! A batch laid over a model whose input holds one item: whether each item gets what it would get alone, and which node
//! prevents it. Called by the rule.
//!
//! Two synthetic items run alone and together. Where the outputs together are not those alone, one behind the other, or
//! where the model cannot be built for two items, the first node at fault is named.

use ptq_exec::{ExecError, FloatPlan};
use ptq_ir::{Diagnostic, Graph, InputSpec, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// Largest difference that counts as none, relative to the largest value.
const TOLERANCE: f64 = 1e-5;

/// Items that a description lays over the model's input; `None` where there is nothing to do.
pub(crate) fn asked(specs: &BTreeMap<String, InputSpec>) -> Option<usize> {
    specs.values().find_map(|s| s.batch.filter(|&b| b > 1))
}

/// These descriptions with another number of items.
pub(crate) fn with_items(specs: &BTreeMap<String, InputSpec>, items: usize) -> BTreeMap<String, InputSpec> {
    let one = |(name, spec): (&String, &InputSpec)| {
        let batch = spec.batch.map(|_| items);
        (name.clone(), InputSpec { batch, ..spec.clone() })
    };
    specs.iter().map(one).collect()
}

/// Why the model cannot be built for two items, though for one it can.
pub(crate) fn unbuildable(one: &Graph, batch: usize, problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let Some(failed) = problems.first() else { return problems };
    let named = failed.place.node.as_deref().and_then(|name| one.nodes.iter().position(|n| n.name == name));
    let Some(at) = named else { return problems };
    let culprit = fixed_shape(one, at).unwrap_or(at);
    let (node, failing) = (&one.nodes[culprit], &one.nodes[at]);
    let mut why = format!("{} cannot run for two items at once: {}", failing.name, failed.message);
    if culprit != at {
        why = format!("{} ({}) gives a shape that does not grow with the batch, so {why}", node.name, node.op);
    }
    vec![refusal(batch, &why).node(&node.name)]
}

/// The node itself or the nearest one in front of it that reshapes to a constant shape.
fn fixed_shape(graph: &Graph, at: usize) -> Option<usize> {
    let producers = graph.producers();
    let mut seen = BTreeSet::from([at]);
    let mut next = vec![at];
    while !next.is_empty() {
        let found = next.iter().copied().find(|&i| ["Reshape", "Expand"].contains(&graph.nodes[i].op.as_str()));
        if found.is_some() {
            return found;
        }
        let inputs = next.iter().flat_map(|&i| graph.nodes[i].inputs.iter().flatten());
        let before: BTreeSet<usize> = inputs.filter_map(|v| producers[v.0 as usize]).map(|id| id.0 as usize).collect();
        next = before.into_iter().filter(|&i| seen.insert(i)).collect();
    }
    None
}

fn refusal(batch: usize, why: &str) -> Diagnostic {
    Diagnostic::error("PARSE14", format!("batch = {batch} does not go with this model: {why}"))
        .hint("export the model so that the first dimension stays open (a Reshape with -1 there), or leave batch out")
}

/// Compares the model for one item and for two.
///
/// # Errors
/// Names the first node whose result for two items is not that for each alone.
pub(crate) fn check(
    one: &Graph,
    two: &Graph,
    specs: &BTreeMap<String, InputSpec>,
    batch: usize,
) -> Result<(), Vec<Diagnostic>> {
    let failed = |e: ExecError| vec![refusal(batch, &e.to_string())];
    let items = [items(one, specs, 1)?, items(one, specs, 2)?];
    let together: Vec<Tensor> = items[0].iter().zip(&items[1]).map(|(a, b)| stacked(a, b)).collect::<Result<_, _>>()?;
    let (alone, both) = (FloatPlan::new(one).map_err(failed)?, FloatPlan::new(two).map_err(failed)?);
    let run = |plan: &FloatPlan, inputs: &[Tensor]| plan.run(inputs, &mut |_, _| ()).map_err(failed);
    let (a, b, ab) = (run(&alone, &items[0])?, run(&alone, &items[1])?, run(&both, &together)?);
    let outputs = a.iter().zip(&b).zip(&ab);
    if outputs.clone().all(|((a, b), ab)| joins(ab, a, b, 0)) {
        return Ok(());
    }
    // Only now every value is kept.
    let all = |plan: &FloatPlan, graph: &Graph, inputs: &[Tensor]| {
        let mut kept = BTreeMap::new();
        plan.run(inputs, &mut |v, t| drop(kept.insert(graph.value(v).name.clone(), t.clone()))).map_err(failed)?;
        Ok::<_, Vec<Diagnostic>>(kept)
    };
    let (a, b, ab) = (all(&alone, one, &items[0])?, all(&alone, one, &items[1])?, all(&both, two, &together)?);
    // First a node that mixes items; otherwise one that keeps them apart along another axis than the first.
    for along in [usize::MAX, 1] {
        for (node, name) in two.nodes.iter().flat_map(|n| n.outputs.iter().map(move |&v| (n, &two.value(v).name))) {
            let (Some(a), Some(b), Some(ab)) = (a.get(name), b.get(name), ab.get(name)) else { continue };
            // What does not depend on the input has no batch.
            let still = a == b && a == ab;
            if !still && !(0..a.shape().len().min(along)).any(|axis| joins(ab, a, b, axis)) {
                let (many, single) = (ab.shape(), a.shape());
                let what = format!("{} ({}) gives {many:?} for two items and {single:?} for one", node.name, node.op);
                let why = format!("{what}, and does not keep them apart in the first dimension");
                return Err(vec![refusal(batch, &why).node(&node.name)]);
            }
        }
    }
    let why = "an output for two items is not that for each alone, one behind the other";
    Err(vec![refusal(batch, why)])
}

/// One synthetic item for each input.
fn items(one: &Graph, specs: &BTreeMap<String, InputSpec>, seed: u64) -> Result<Vec<Tensor>, Vec<Diagnostic>> {
    let item = |&v: &ptq_ir::ValueId| {
        let value = one.value(v);
        let spec = InputSpec { batch: None, ..specs.get(&value.name).cloned().unwrap_or_default() };
        ptq_sample::synthetic(&spec, value.dtype, &value.shape, seed).map_err(|d| vec![d.value(&value.name)])
    };
    one.inputs.iter().map(item).collect()
}

fn stacked(a: &Tensor, b: &Tensor) -> Result<Tensor, Vec<Diagnostic>> {
    let mut shape = a.shape().to_vec();
    if let Some(first) = shape.first_mut() {
        *first *= 2;
    }
    ptq_sample::joined(&[a.clone(), b.clone()], &shape).map_err(|d| vec![d])
}

/// Whether a value for both items is that of `a` and then that of `b` along an axis, up to rounding.
fn joins(both: &Tensor, a: &Tensor, b: &Tensor, axis: usize) -> bool {
    let shape = a.shape();
    let Some(&extent) = shape.get(axis) else { return false };
    let mut wanted = shape.to_vec();
    wanted[axis] = 2 * extent;
    if both.shape() != wanted {
        return false;
    }
    let chunk = shape[axis..].iter().product::<usize>().max(1);
    let (a, b, both) = (a.to_f64s(), b.to_f64s(), both.to_f64s());
    let expected = a.chunks(chunk).zip(b.chunks(chunk)).flat_map(|(a, b)| a.iter().chain(b));
    let largest = a.iter().chain(&b).filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()));
    expected.zip(&both).all(|(x, y)| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= largest * TOLERANCE)
}

//! Compares two runs tensor by tensor, in the later one's order.

use super::local::Local;
use super::report::{Divergence, OutputFigures, PairReport, Verdict};
use super::rounding::STEPS;
use super::trace::{Entry, Trace};
use super::{Gate, Limit, Metric};
use crate::Figure;
use ptq_exec::metrics;
use ptq_ir::Tensor;
use std::collections::BTreeMap;

/// Judges `after` against `before`. With `off`, another run of the stage before that differs by its own rounding, a tensor
/// may differ by [`STEPS`] times as much as there, if that is more than the limit.
pub(super) fn pair(limit: &Limit, before: &Trace, after: &Trace, off: Option<&Trace>) -> PairReport {
    let exact = limit.metric == Metric::DifferentElements;
    let key = |e: &Entry| if exact { e.name.clone() } else { e.source.clone() };
    let references: BTreeMap<String, &Entry> = before.entries.iter().map(|e| (key(e), e)).collect();
    let mut compared = 0;
    let mut first: Option<Divergence> = None;
    let mut worst: Option<Divergence> = None;
    for entry in &after.entries {
        let Some(reference) = references.get(&key(entry)) else { continue };
        compared += 1;
        let figure = entry_figure(limit.metric, entry, reference);
        let here = || Divergence { node: entry.node.clone(), value: entry.name.clone(), figure: Figure(figure) };
        if first.is_none() && !limit.metric.accepts(figure, limit.limit.max(rounding(limit, reference, off))) {
            first = Some(here());
        }
        if worst.as_ref().is_none_or(|w| limit.metric.is_worse(figure, w.figure.0)) {
            worst = Some(here());
        }
    }
    judged(limit, (compared, first, worst), before, after, off)
}

/// How much of a tensor's figure its own rounding explains.
fn rounding(limit: &Limit, reference: &Entry, off: Option<&Trace>) -> f64 {
    let again = off.and_then(|o| o.entries.iter().find(|e| e.name == reference.name));
    again.map_or(0.0, |e| STEPS * entry_figure(limit.metric, e, reference))
}

/// Judges `after` by what was compared node by node; the outputs of the whole runs are shown beside it.
pub(super) fn nodes(limit: &Limit, local: Local, before: &Trace, after: &Trace) -> PairReport {
    judged(limit, (local.compared, local.first, local.worst), before, after, None)
}

fn judged(
    limit: &Limit,
    (compared, first, worst): (usize, Option<Divergence>, Option<Divergence>),
    before: &Trace,
    after: &Trace,
    off: Option<&Trace>,
) -> PairReport {
    let outputs = output_figures(limit, before, after, off);
    let outputs_pass = outputs.iter().all(|o| o.accepted);
    let verdict = match limit.gate {
        Gate::Fail if first.is_some() || !outputs_pass => Verdict::Failed,
        Gate::Warn if !outputs_pass => Verdict::Warning,
        _ => Verdict::Passed,
    };
    PairReport {
        before: limit.before,
        after: limit.after,
        condition: limit.metric.condition(limit.limit),
        gate: limit.gate,
        why: limit.why.to_owned(),
        verdict,
        compared,
        first,
        worst,
        outputs,
    }
}

fn entry_figure(metric: Metric, entry: &Entry, reference: &Entry) -> f64 {
    match metric {
        Metric::DifferentElements => different_elements(&entry.tensor, &reference.tensor),
        _ => figure(metric, &entry.real_values(), &reference.real_values()),
    }
}

/// NaN when the tensors have different numbers of elements, which no limit accepts.
fn figure(metric: Metric, a: &[f64], b: &[f64]) -> f64 {
    match metric {
        _ if a.len() != b.len() => f64::NAN,
        Metric::Cosine => metrics::cosine(a, b),
        Metric::MaxRelativeError => metrics::max_relative_error(a, b),
        Metric::Steps => f64::NAN,
        Metric::DifferentElements => a.iter().zip(b).filter(|(x, y)| x.to_bits() != y.to_bits()).count() as f64,
    }
}

fn different_elements(a: &Tensor, b: &Tensor) -> f64 {
    if a.dtype() != b.dtype() || a.shape() != b.shape() {
        return f64::NAN;
    }
    let (x, y) = (a.to_le_bytes(), b.to_le_bytes());
    let size = a.dtype().bytes();
    x.chunks_exact(size).zip(y.chunks_exact(size)).filter(|(p, q)| p != q).count() as f64
}

fn output_figures(limit: &Limit, before: &Trace, after: &Trace, off: Option<&Trace>) -> Vec<OutputFigures> {
    let one = |i: usize| {
        let ((name, reference), (_, tensor)) = (&before.outputs[i], &after.outputs[i]);
        let (a, b) = (tensor.to_f64s(), reference.to_f64s());
        let judged = match limit.metric {
            Metric::DifferentElements => different_elements(tensor, reference),
            metric => figure(metric, &a, &b),
        };
        let again = off.and_then(|o| o.outputs.get(i)).map(|(_, t)| t.to_f64s());
        let rounding = again.map_or(0.0, |t| STEPS * figure(limit.metric, &t, &b));
        OutputFigures {
            output: name.clone(),
            cosine: Figure(figure(Metric::Cosine, &a, &b)),
            error: Figure(figure(Metric::MaxRelativeError, &a, &b)),
            accepted: limit.metric == Metric::Steps || limit.metric.accepts(judged, limit.limit.max(rounding)),
        }
    };
    (0..before.outputs.len().min(after.outputs.len())).map(one).collect()
}

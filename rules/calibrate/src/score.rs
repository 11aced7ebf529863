//! What a quantization table costs, as a number: cosine similarity of float and fake-quantized values.
//!
//! Three build rules of a search. [`ReferenceRule`] runs the float graph once a sample and keeps the compared values;
//! [`ScoreRule`] scores a whole table against them; [`SensitivityRule`] scores one quantized node at a time. Equal graphs,
//! tables and samples have equal actions, so candidates, marches and variants share scores.

use crate::observe::load_sample;
use crate::samples::samples;
use crate::spread::spread;
use ptq_exec::{AlonePlan, ExecError, FakeQuantPlan, FloatPlan, Part, metrics};
use ptq_ir::{Diagnostic, Graph, InputSpec, NodeId, QuantParams, QuantTable, Tensor, ValueId};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the blob of float values.
pub(crate) const REFERENCE: &str = "reference";
/// Name of the blob of a quantization table.
pub(crate) const QUANT: &str = "quant";
/// Name of the blob of scores.
pub(crate) const SCORES: &str = "scores";

/// What these rules read of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreParams {
    /// Descriptions of the model's inputs.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Names of the values that are compared.
    pub at: Vec<String>,
    /// Names of the nodes to quantize alone; read by `sensitivity`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// Inputs: `graph` and its tensors, `sample/<input>/<file>`. Output: `reference`, the compared values sample by sample.
pub struct ReferenceRule;

/// Inputs: as [`ReferenceRule`], `quant`, `reference`. Output: `scores`, the score of the whole table on each sample.
pub struct ScoreRule;

/// Inputs: as [`ScoreRule`]. Output: `scores`, one a node of the parameters.
pub struct SensitivityRule;

/// The compared float values: for each sample, in the order of [`ScoreParams::at`].
type Reference = Vec<Vec<Tensor>>;

impl BuildRule for ReferenceRule {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let run = Run::of(ctx)?;
        let plan = FloatPlan::new(&run.graph).map_err(cannot_run)?.observing(&run.at);
        let reference: Reference = run.each(ctx, |_, inputs| {
            let mut seen = vec![None; run.at.len()];
            plan.run(inputs, &mut |v, t| run.record(&mut seen, v, t)).map_err(cannot_run)?;
            run.complete(seen)
        })?;
        done(REFERENCE, &reference)
    }
}

impl BuildRule for ScoreRule {
    fn name(&self) -> &'static str {
        "score"
    }

    fn version(&self) -> u32 {
        2
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let run = Run::of(ctx)?;
        let (table, reference) = (blob::<QuantTable>(ctx, QUANT)?, run.reference(ctx)?);
        let plan = FakeQuantPlan::new(&run.graph, &table, &weights(&run.graph, &table)).map_err(cannot_run)?;
        let plan = plan.observing(&run.at);
        let lowest = run.each(ctx, |i, inputs| {
            let mut seen = vec![None; run.at.len()];
            plan.run(inputs, &mut |v, t| run.record(&mut seen, v, t)).map_err(cannot_run)?;
            Ok(lowest_cosine(&run.complete(seen)?, &reference[i]))
        })?;
        done(SCORES, &lowest)
    }
}

impl BuildRule for SensitivityRule {
    fn name(&self) -> &'static str {
        "sensitivity"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let mut run = Run::of(ctx)?;
        let (table, reference) = (blob::<QuantTable>(ctx, QUANT)?, run.reference(ctx)?);
        run.add_readers(&table);
        let plan = AlonePlan::new(&run.graph, &table, &weights(&run.graph, &table), &run.at).map_err(cannot_run)?;
        let mut nodes: Vec<NodeId> = run.params.nodes.iter().filter_map(|n| run.graph.find_node(n)).collect();
        nodes.sort_unstable();
        let by_sample = run.each(ctx, |i, inputs| {
            let mut scores: BTreeMap<NodeId, f64> = BTreeMap::new();
            let mut found = |id, _, seen: &[Option<Tensor>]| {
                // What does not depend on the node is as in float.
                let seen = seen.iter().zip(&reference[i]).map(|(q, f)| q.clone().unwrap_or_else(|| f.clone()));
                scores.insert(id, lowest_cosine(&seen.collect::<Vec<_>>(), &reference[i]));
            };
            plan.run(inputs, &nodes, &[Part::Both], &mut found).map_err(cannot_run)?;
            Ok(scores)
        })?;
        let of = |name: &String| {
            let id = run.graph.find_node(name)?;
            let each: Vec<f64> = by_sample.iter().filter_map(|s| s.get(&id).copied()).collect();
            Some(mean(&each))
        };
        let scores: Vec<f64> = run.params.nodes.iter().map(|n| of(n).unwrap_or(f64::NAN)).collect();
        done(SCORES, &scores)
    }
}

/// What rules that run samples to compare values have in common.
pub(crate) struct Run {
    /// What they read of the configuration.
    pub(crate) params: ScoreParams,
    /// The optimized graph.
    pub(crate) graph: Arc<Graph>,
    /// The compared values.
    pub(crate) at: Vec<ValueId>,
    files: Vec<crate::samples::Sample>,
}

impl Run {
    pub(crate) fn of(ctx: &Context<'_>) -> Result<Run, Failure> {
        let params: ScoreParams = ctx.params()?;
        let graph = ctx.graph()?;
        let find = |name: &String| {
            graph
                .find_value(name)
                .ok_or_else(|| Diagnostic::error("CALIB09", "is not a value of the graph").value(name))
        };
        let at = params.at.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let files = samples(&graph, &ctx.inputs.names())?;
        Ok(Run { params, graph, at, files })
    }

    /// Gives the graph the table's copies of values for readers of another width.
    pub(crate) fn add_readers(&mut self, table: &QuantTable) {
        if let Cow::Owned(graph) = table.with_readers(&self.graph) {
            self.graph = Arc::new(graph);
        }
    }

    fn record(&self, seen: &mut [Option<Tensor>], v: ValueId, tensor: &Tensor) {
        self.at.iter().zip(seen).filter(|(a, _)| **a == v).for_each(|(_, s)| *s = Some(tensor.clone()));
    }

    /// The compared values of one run; constants among the outputs never pass the observer.
    fn complete(&self, seen: Vec<Option<Tensor>>) -> Result<Vec<Tensor>, Failure> {
        let of = |(s, &v): (Option<Tensor>, &ValueId)| {
            let name = &self.graph.value(v).name;
            s.or_else(|| self.graph.constant(v).cloned())
                .ok_or_else(|| Diagnostic::error("CALIB09", "was not computed").value(name).into())
        };
        seen.into_iter().zip(&self.at).map(of).collect()
    }

    /// The float values to compare with, one list a sample.
    pub(crate) fn reference(&self, ctx: &Context<'_>) -> Result<Reference, Failure> {
        let reference: Reference = blob(ctx, REFERENCE)?;
        if reference.len() != self.files.len() {
            let why = format!("{} reference samples for {} samples", reference.len(), self.files.len());
            return Err(Diagnostic::error("CALIB09", why).into());
        }
        Ok(reference)
    }

    /// Results of every sample in order; `run` gets its number and its inputs.
    pub(crate) fn each<T: Send>(
        &self,
        ctx: &Context<'_>,
        run: impl Fn(usize, &[Tensor]) -> Result<T, Failure> + Sync,
    ) -> Result<Vec<T>, Failure> {
        let one = |i: usize| run(i, &load_sample(ctx, &self.params.inputs, &self.graph, &self.files[i])?);
        spread(self.files.len(), ctx, one)
    }
}

/// The smallest cosine similarity of any compared value; NaN where one is.
fn lowest_cosine(quantized: &[Tensor], float: &[Tensor]) -> f64 {
    let each = quantized.iter().zip(float).map(|(q, f)| metrics::cosine(&q.to_f64s(), &f.to_f64s()));
    each.reduce(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }).unwrap_or(f64::NAN)
}

/// Mean in the order of the samples.
pub(crate) fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// The table's weights by value; names that the graph does not have are left out.
pub fn weights(graph: &Graph, table: &QuantTable) -> BTreeMap<ValueId, QuantParams> {
    table.weights.iter().filter_map(|(name, p)| Some((graph.find_value(name)?, p.clone()))).collect()
}

pub(crate) fn cannot_run(e: ExecError) -> Failure {
    Diagnostic::error("CALIB02", format!("the graph cannot run: {e}")).into()
}

pub(crate) fn blob<T: serde::de::DeserializeOwned>(ctx: &Context<'_>, name: &str) -> Result<T, Failure> {
    ptq_ir::from_bytes(&ctx.input(name)?)
        .map_err(|e| Diagnostic::error("CALIB03", format!("{name} does not decode: {e}")).into())
}

pub(crate) fn done<T: Serialize>(name: &str, value: &T) -> Result<Step, Failure> {
    let bytes = ptq_ir::to_bytes(value).map_err(|e| Failure::from(Diagnostic::error("CALIB03", e.to_string())))?;
    Ok(Step::Done(Blobs::from([(name.to_owned(), bytes)])))
}

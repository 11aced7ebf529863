//! The observe rule: one shard of samples through the float graph, every chosen value into a histogram.

use crate::{Counter, Histogram, merge, samples::samples, spread::spread_fold};
use ptq_exec::{ExecError, FloatPlan};
use ptq_ir::{Diagnostic, Graph, InputSpec, Tensor, ValueId};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What observe reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObserveParams {
    /// Descriptions of the model's inputs.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Names of the values to observe.
    pub values: Vec<String>,
    /// Number of synthetic samples, used when there are no files.
    pub synthetic: u32,
}

/// Inputs: `graph` and its tensors, `sample/<input>/<file>`. Output: `histograms`, by value name.
pub struct ObserveRule;

/// Name of the blob of histograms.
pub(crate) const HISTOGRAMS: &str = "histograms";

/// What was counted so far, by value index.
type Observed = BTreeMap<ValueId, Counter>;

impl BuildRule for ObserveRule {
    fn name(&self) -> &'static str {
        "observe"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: ObserveParams = ctx.params()?;
        let graph = ctx.graph()?;
        let wanted: Vec<ValueId> = params.values.iter().filter_map(|n| graph.find_value(n)).collect();
        let plan = observing_plan(ctx, &params.values, &wanted)?;
        let files = samples(&graph, &ctx.inputs.names()).map_err(Failure::from)?;
        let count = if files.is_empty() { params.synthetic as usize } else { files.len() };
        let load = |i: usize| match files.get(i) {
            Some(sample) => load_sample(ctx, &params.inputs, &graph, sample),
            None => synthetic_sample(&params, &graph, i as u64),
        };
        let run = |into: &mut Observed, i: usize| observe_sample(&plan, &load(i)?, &wanted, into);
        // Merging is exact and has no order, so the number of threads cannot be seen.
        let mut observed: BTreeMap<ValueId, Histogram> = BTreeMap::new();
        let counters = spread_fold(count, ctx, run)?;
        plan.rest();
        for (v, counter) in counters.into_iter().flatten() {
            let counted = counter.finish();
            observed.entry(v).and_modify(|all| all.merge(&counted)).or_insert(counted);
        }
        let table: BTreeMap<&str, &Histogram> =
            observed.iter().map(|(v, h)| (graph.value(*v).name.as_str(), h)).collect();
        Ok(Step::Done(Blobs::from([(HISTOGRAMS.to_owned(), merge::bytes(&table)?)])))
    }
}

/// The float graph ready to run for a sink that asks for these values: packed once for all shards.
pub(crate) fn observing_plan(
    ctx: &Context<'_>,
    names: &[String],
    values: &[ValueId],
) -> Result<Arc<FloatPlan>, Failure> {
    ctx.of_graph(&format!("observing {names:?}"), FloatPlan::byte_len, |graph| {
        FloatPlan::new(graph).map(|plan| plan.observing(values)).map_err(cannot_run)
    })
}

fn observe_sample(plan: &FloatPlan, inputs: &[Tensor], wanted: &[ValueId], into: &mut Observed) -> Result<(), Failure> {
    plan.run(inputs, &mut |v, tensor| {
        if let (true, Ok(values)) = (wanted.binary_search(&v).is_ok(), tensor.f32s()) {
            into.entry(v).or_default().observe(values);
        }
    })
    .map(|_| ())
    .map_err(cannot_run)
}

pub(crate) fn cannot_run(e: ExecError) -> Failure {
    Diagnostic::error("CALIB02", format!("the float graph cannot run: {e}")).into()
}

/// The tensors of one sample, in the order of the model's inputs.
///
/// # Errors
/// When a file is missing, or does not fit its input.
pub fn load_sample(
    ctx: &Context<'_>,
    inputs: &BTreeMap<String, InputSpec>,
    graph: &Graph,
    sample: &[(String, String)],
) -> Result<Vec<Tensor>, Failure> {
    graph
        .inputs
        .iter()
        .zip(sample)
        .map(|(&v, (blob, file))| {
            let value = graph.value(v);
            let spec = inputs.get(&value.name).cloned().unwrap_or_default();
            let bytes = ctx.input(blob)?;
            ptq_sample::decode(file, &bytes, &spec, value.dtype, &value.shape)
                .map_err(|d| Failure::from(d.value(&value.name)))
        })
        .collect()
}

fn synthetic_sample(params: &ObserveParams, graph: &Graph, seed: u64) -> Result<Vec<Tensor>, Failure> {
    graph
        .inputs
        .iter()
        .map(|&v| {
            let value = graph.value(v);
            let spec = params.inputs.get(&value.name).cloned().unwrap_or_default();
            ptq_sample::synthetic(&spec, value.dtype, &value.shape, seed).map_err(Failure::from)
        })
        .collect()
}

//! The observe rule: one shard of samples through the float graph, every chosen value into a histogram.

use crate::{Histogram, samples::samples};
use ptq_exec::FloatPlan;
use ptq_ir::{Diagnostic, Graph, InputSpec, Tensor, ValueId};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, read_graph};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Histograms by value index.
type Observed = BTreeMap<ValueId, Histogram>;

impl BuildRule for ObserveRule {
    fn name(&self) -> &'static str {
        "observe"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: ObserveParams = ctx.params()?;
        let graph = read_graph(ctx.inputs)?;
        let wanted: Vec<ValueId> = params.values.iter().filter_map(|n| graph.find_value(n)).collect();
        let plan = FloatPlan::new(&graph)
            .map(|plan| plan.observing(&wanted))
            .map_err(|e| Failure::from(Diagnostic::error("CALIB02", format!("the float graph cannot run: {e}"))))?;
        let files = samples(&graph, &ctx.inputs.names()).map_err(Failure::from)?;
        let count = if files.is_empty() { params.synthetic as usize } else { files.len() };
        let load = |i: usize| match files.get(i) {
            Some(sample) => load_sample(ctx, &params, &graph, sample),
            None => synthetic_sample(&params, &graph, i as u64),
        };
        let done = AtomicUsize::new(0);
        let run = |i: usize, into: &mut Observed| -> Result<(), Failure> {
            let inputs = load(i)?;
            observe_sample(&plan, &inputs, &wanted, into)?;
            ctx.progress.tick(done.fetch_add(1, Ordering::Relaxed) + 1, count);
            Ok(())
        };
        let observed = spread(count, ctx.threads, run)?;
        let table: BTreeMap<&str, &Histogram> =
            observed.iter().map(|(v, h)| (graph.value(*v).name.as_str(), h)).collect();
        let bytes = ptq_ir::to_bytes(&table).map_err(|e| Failure::from(Diagnostic::error("CALIB03", e.to_string())))?;
        Ok(Step::Done(Blobs::from([("histograms".to_owned(), bytes)])))
    }
}

/// Runs samples on up to `threads` threads, each with histograms of its own, and merges them; merging is exact, so the
/// number of threads cannot be seen in the result.
fn spread(
    count: usize,
    threads: usize,
    run: impl Fn(usize, &mut Observed) -> Result<(), Failure> + Sync,
) -> Result<Observed, Failure> {
    let threads = threads.clamp(1, count.max(1));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut mine = Observed::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok(mine);
            }
            run(i, &mut mine)?;
        }
    };
    let parts: Vec<Result<Observed, Failure>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = handles.into_iter().map(|h| {
            h.join().unwrap_or_else(|_| Err(Failure::from(Diagnostic::error("CALIB04", "a worker thread panicked"))))
        });
        std::iter::once(own).chain(others).collect()
    });
    let mut all = Observed::new();
    for part in parts {
        for (v, h) in part? {
            all.entry(v).or_default().merge(&h);
        }
    }
    Ok(all)
}

fn observe_sample(plan: &FloatPlan, inputs: &[Tensor], wanted: &[ValueId], into: &mut Observed) -> Result<(), Failure> {
    plan.run(inputs, &mut |v, tensor| {
        if let (true, Ok(values)) = (wanted.binary_search(&v).is_ok(), tensor.f32s()) {
            into.entry(v).or_default().observe(values);
        }
    })
    .map(|_| ())
    .map_err(|e| Failure::from(Diagnostic::error("CALIB02", format!("the float graph cannot run: {e}"))))
}

fn load_sample(
    ctx: &Context<'_>,
    params: &ObserveParams,
    graph: &Graph,
    sample: &[(String, String)],
) -> Result<Vec<Tensor>, Failure> {
    graph
        .inputs
        .iter()
        .zip(sample)
        .map(|(&v, (blob, file))| {
            let value = graph.value(v);
            let spec = params.inputs.get(&value.name).cloned().unwrap_or_default();
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

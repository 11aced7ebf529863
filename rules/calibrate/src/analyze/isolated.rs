//! The rule `isolated`: what each node of a group costs at the outputs when only it is quantized.

use super::errors::{Errors, Sums};
use super::report::Parts;
use crate::score::{QUANT, Run, blob, cannot_run, done, weights};
use ptq_exec::{AlonePlan, Part};
use ptq_ir::{NodeId, QuantTable};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use std::collections::BTreeMap;

/// Name of the blob of errors.
pub(crate) const ERRORS: &str = "errors";
const PARTS: [Part; 3] = [Part::Both, Part::Weights, Part::Activations];

/// Inputs: as of `sensitivity`, with a table of what the nodes of the parameters read. Output: `errors`, a [`Parts`] for each of these nodes.
pub struct IsolatedRule;

/// Sums for each part and each compared value.
type NodeSums = [Vec<Sums>; 3];

impl BuildRule for IsolatedRule {
    fn name(&self) -> &'static str {
        "isolated"
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
            let mut sums: BTreeMap<NodeId, NodeSums> = BTreeMap::new();
            let mut found = |id, part, seen: &[Option<ptq_ir::Tensor>]| {
                let pairs = seen.iter().zip(&reference[i]);
                let each = pairs.map(|(q, f)| q.as_ref().map_or_else(|| Sums::same(f), |q| Sums::of(q, f)));
                sums.entry(id).or_default()[index(part)] = each.collect();
            };
            plan.run(inputs, &nodes, &PARTS, &mut found).map_err(cannot_run)?;
            Ok(sums)
        })?;
        let mut all: BTreeMap<NodeId, NodeSums> = BTreeMap::new();
        for sample in by_sample {
            for (id, sums) in sample {
                let total = all.entry(id).or_default();
                for (total, part) in total.iter_mut().zip(sums) {
                    match total.is_empty() {
                        true => *total = part,
                        false => total.iter_mut().zip(&part).for_each(|(t, s)| t.add(s)),
                    }
                }
            }
        }
        let of = |sums: &[Sums]| sums.iter().map(Sums::errors).reduce(|a, b| Errors::worst(&a, &b)).unwrap_or_default();
        let parts = |name: &String| {
            let sums = run.graph.find_node(name).and_then(|id| all.get(&id));
            sums.map_or_else(Parts::default, |s| Parts { both: of(&s[0]), weights: of(&s[1]), activations: of(&s[2]) })
        };
        done(ERRORS, &run.params.nodes.iter().map(parts).collect::<Vec<Parts>>())
    }
}

fn index(part: Part) -> usize {
    match part {
        Part::Both => 0,
        Part::Weights => 1,
        Part::Activations => 2,
    }
}

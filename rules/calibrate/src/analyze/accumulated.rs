//! The rule `accumulated`: what has been lost up to each value when everything is quantized.

use super::errors::Sums;
use super::isolated::ERRORS;
use crate::score::{QUANT, Run, blob, cannot_run, done, weights};
use ptq_exec::{FakeQuantPlan, FloatPlan};
use ptq_ir::{QuantTable, Tensor, ValueId};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};

/// Inputs: as of `score`, without float values. Output: `errors`, for each value of [`crate::ScoreParams::at`] its [`super::Errors`].
pub struct AccumulatedRule;

impl BuildRule for AccumulatedRule {
    fn name(&self) -> &'static str {
        "accumulated"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let mut run = Run::of(ctx)?;
        let table: QuantTable = blob(ctx, QUANT)?;
        run.add_readers(&table);
        let scaled = table.activations.keys().filter_map(|name| run.graph.find_value(name));
        let wanted: Vec<ValueId> = scaled.chain(run.at.iter().copied()).collect();
        let float = FloatPlan::new(&run.graph).map_err(cannot_run)?.observing(&wanted);
        let plan = FakeQuantPlan::new(&run.graph, &table, &weights(&run.graph, &table)).map_err(cannot_run)?;
        let plan = plan.observing(&run.at);
        let by_sample = run.each(ctx, |_, inputs| {
            let mut sums = vec![Sums::default(); run.at.len()];
            let mut found = |v: ValueId, f: &Tensor, q: &Tensor| {
                let of = run.at.iter().zip(&mut sums).filter(|(at, _)| **at == v);
                of.for_each(|(_, s)| *s = Sums::of(q, f));
            };
            plan.beside(&float, inputs, &mut found).map_err(cannot_run)?;
            Ok(sums)
        })?;
        let mut all = vec![Sums::default(); run.at.len()];
        for sample in by_sample {
            all.iter_mut().zip(&sample).for_each(|(t, s)| t.add(s));
        }
        done(ERRORS, &all.iter().map(Sums::errors).collect::<Vec<_>>())
    }
}

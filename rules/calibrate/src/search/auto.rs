//! The search `auto`: everything that `default` tries, and beyond it what Horizon's documents do not have.
//!
//! After the candidates of `default` it tries MSE, ranges by the error behind the functions that read a value, and with these cross-layer
//! equalization and thresholds per channel for max and MSE; then, on the best so far, scales
//! of weights by MSE; then, on the best again, bias correction and error-compensated rounding, the latter also on MSE: it makes
//! up for clipping less than for coarse steps. The best of all wins, so `auto` is never worse than `default` on the samples
//! scored on. Those take no part in the corrections and in ranges of channels where there are twice as many.

use super::{Candidates, Scorer, default};
use crate::answers::Stop;
use crate::improve::Improvement;
use crate::params::{Pick, Way, WeightScale};
use crate::table::Observations;

/// Ways beyond those of `default`.
const BEYOND: [Way; 7] = [
    Way::of(Pick::Mse),
    BEHIND_MAX,
    BEHIND_MSE,
    Way { equalized: true, ..BEHIND_MAX },
    Way { equalized: true, ..BEHIND_MSE },
    Way { per_channel: true, ..BEHIND_MAX },
    Way { per_channel: true, ..BEHIND_MSE },
];
const BEHIND_MAX: Way = Way { behind: true, ..Way::of(Pick::Max) };
const BEHIND_MSE: Way = Way { behind: true, ..Way::of(Pick::Mse) };

pub(super) fn auto(
    observations: &Observations<'_>,
    scorer: &mut Scorer<'_, '_>,
    others: &[Vec<String>],
) -> Result<Candidates, Stop> {
    let mut candidates = default::default(observations, scorer)?;
    let channels = scorer.channels()?;
    let observations = Observations { channels: &channels, ..*observations };
    let of = |way: Way| Ok((way.to_string(), observations.table(&|_| way)?));
    candidates.add(BEYOND.into_iter().map(of).collect::<Result<_, Stop>>()?, scorer)?;
    let Some((name, table)) = candidates.best() else { return Ok(candidates) };
    let weights = Observations { weights: WeightScale::Mse, ..observations }.with_weights(table)?;
    candidates.add(vec![(format!("{name} + mse weights"), weights)], scorer)?;
    let Some(best) = candidates.best() else { return Ok(candidates) };
    let mut bases = vec![(best.clone(), "bias correction", false), (best.clone(), "compensated rounding", true)];
    let mse = Way::of(Pick::Mse);
    if !best.0.starts_with(&mse.to_string()) {
        bases.push(((mse.to_string(), observations.table(&|_| mse)?), "compensated rounding", true));
    }
    for ((name, table), what, rounding) in bases {
        let better = Improvement { samples: others, rounding }.of(&table, &observations, scorer.answers())?;
        candidates.add(vec![(format!("{name} + {what}"), better)], scorer)?;
    }
    Ok(candidates)
}

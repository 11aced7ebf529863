//! The search `auto`: everything that `default` tries, and beyond it what Horizon's documents do not have.
//!
//! After the candidates of `default` it tries MSE, ranges by the error behind the functions that read a value, and with these cross-layer
//! equalization and thresholds per channel for max and MSE; then, on the best so far, scales of weights by MSE; then bias correction on the best
//! again, and error-compensated rounding on the tables that lose least with weights in float: it makes up for what weights lose, and not
//! for what activations do.
//!
//! All samples are scored on. What depends on them by more than thresholds (ranges of channels, corrections) is made once for each part
//! of the samples, of the others, and judged by the part: cross-validation, since what only fits the samples that it was made from must not
//! win. Rounded weights are judged as fewer samples make them, so the best of those lead unless another is better by more than the standard
//! error of the paired differences. The winner is made anew of all samples, and has to be no worse on them than the best of `default`.

use super::candidates::{Candidates, Correction};
use super::{Scorer, default};
use crate::answers::Stop;
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

/// Tables that weights are rounded for.
const BASES: usize = 2;

pub(super) fn auto(observations: &Observations<'_>, scorer: &mut Scorer<'_, '_>) -> Result<Candidates, Stop> {
    let mut candidates = default::default(observations, scorer)?;
    candidates.keep();
    let mut more = Vec::new();
    for way in BEYOND {
        more.push((way.to_string(), scorer.tables(observations, way)?));
    }
    candidates.add(more, scorer)?;
    let Some((name, tables)) = candidates.best() else { return Ok(candidates) };
    let mse = Observations { weights: WeightScale::Mse, ..*observations };
    let tables = tables.map(|t| mse.with_weights(t.clone()))?;
    candidates.add(vec![(format!("{name} + mse weights"), tables)], scorer)?;
    let Some((name, tables)) = candidates.best() else { return Ok(candidates) };
    let mut corrected = vec![(name, tables, Correction::Bias)];
    for (name, tables) in candidates.bases(BASES, scorer)? {
        corrected.push((name, tables, Correction::Rounding));
    }
    candidates.correct(corrected, observations, scorer)?;
    Ok(candidates)
}

//! The search `default`, as Horizon's documents describe it.
//!
//! Step 1 tries max, max-percentile 0.99995 and KL; a score of 0.995 or more wins. Step 2 adds max-percentile with
//! thresholds per channel; the best of four wins with 0.995 or more. Step 3 adds zero points to the best of the four;
//! the best of five wins.

use super::candidates::Candidates;
use super::{FIRST, PERCENTILE, Scorer};
use crate::answers::Stop;
use crate::params::{Pick, Way};
use crate::table::Observations;

/// What follows the first three candidates.
#[derive(Clone, Copy)]
enum Step {
    PerChannel,
    Asymmetric,
}

/// A score that ends the search.
const ENOUGH: f64 = 0.995;

pub(super) fn default(observations: &Observations<'_>, scorer: &mut Scorer<'_, '_>) -> Result<Candidates, Stop> {
    let mut ways = FIRST.to_vec();
    let mut candidates = Candidates::default();
    let mut first = Vec::new();
    for &way in &ways {
        first.push((way.to_string(), scorer.tables(observations, way)?));
    }
    candidates.add(first, scorer)?;
    for step in [Step::PerChannel, Step::Asymmetric] {
        if candidates.score().is_some_and(|score| score >= ENOUGH) {
            break;
        }
        let way = match (step, candidates.leader()) {
            (Step::PerChannel, _) => Way { per_channel: true, ..Way::of(Pick::Percentile(PERCENTILE)) },
            (Step::Asymmetric, Some(i)) => Way { asymmetric: true, ..ways[i] },
            (Step::Asymmetric, None) => break,
        };
        let tables = scorer.tables(observations, way)?;
        candidates.add(vec![(way.to_string(), tables)], scorer)?;
        ways.push(way);
    }
    Ok(candidates)
}

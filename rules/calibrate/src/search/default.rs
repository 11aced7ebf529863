//! The search `default`, as Horizon's documents describe it.
//!
//! Step 1 tries max, max-percentile 0.99995 and KL; a score of 0.995 or more wins. Step 2 adds max-percentile with
//! thresholds per channel; the best of four wins with 0.995 or more. Step 3 adds zero points to the best of the four;
//! the best of five wins.

use super::{FIRST, PERCENTILE, Scorer, SearchReport, best, nothing_wins, tried};
use crate::answers::Stop;
use crate::channels::ChannelRanges;
use crate::params::{Pick, Way};
use crate::table::Observations;
use ptq_ir::QuantTable;

/// What follows the first three candidates.
#[derive(Clone, Copy)]
enum Step {
    PerChannel,
    Asymmetric,
}

/// A score that ends the search.
const ENOUGH: f64 = 0.995;

pub(super) fn default(
    observations: &Observations<'_>,
    scorer: &mut Scorer<'_, '_>,
    report: &mut SearchReport,
) -> Result<QuantTable, Stop> {
    report.search = "default".into();
    let mut ways = FIRST.to_vec();
    let mut tables = ways.iter().map(|w| observations.table(&|_| *w)).collect::<Result<Vec<_>, _>>()?;
    let mut scores = scorer.whole(&tables)?;
    let mut channels = ChannelRanges::new();
    for step in [Step::PerChannel, Step::Asymmetric] {
        let leader = best(&scores);
        if leader.is_some_and(|i| scores[i] >= ENOUGH) {
            break;
        }
        let way = match (step, leader) {
            (Step::PerChannel, _) => {
                channels = scorer.channels()?;
                Way { per_channel: true, ..Way::of(Pick::Percentile(PERCENTILE)) }
            }
            (Step::Asymmetric, Some(i)) => Way { asymmetric: true, ..ways[i] },
            (Step::Asymmetric, None) => break,
        };
        let table = Observations { channels: &channels, ..*observations }.table(&|_| way)?;
        // Where this march and graph make it a table that was scored already, its score is known.
        let known = tables.iter().position(|t| t.same_parameters(&table));
        scores.push(match known {
            Some(i) => scores[i],
            None => scorer.whole(std::slice::from_ref(&table))?[0],
        });
        ways.push(way);
        tables.push(table);
    }
    report.tried = ways.iter().zip(&scores).map(|(w, s)| tried(w.to_string(), *s)).collect();
    let winner = best(&scores).ok_or_else(nothing_wins)?;
    report.chosen = ways[winner].to_string();
    Ok(tables.swap_remove(winner))
}

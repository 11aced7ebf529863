//! Searches for the best table, one file each. Called by the calibrate rule.
//!
//! A candidate's score is the mean over samples of the smallest cosine similarity, in f64, of any compared value between
//! the float graph and the fake-quantized one. A score that is not a number never wins; ties go to the earlier candidate.

mod auto;
mod candidates;
mod default;
mod mix;
mod scorer;
mod words;

pub(crate) use mix::computing;
pub(crate) use scorer::{Part, Scorer};

use crate::answers::Stop;
use crate::params::{Calibration, Method, Pick, ScoreAt, Way};
use crate::table::Observations;
use ptq_ir::{Device, Diagnostic, Graph, QuantTable, ValueId};
use ptq_place::{Placement, Requests};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The percentile that the searches try (Horizon's documents fix it at this value).
const PERCENTILE: f64 = 0.99995;
/// The three ways that both searches begin with.
const FIRST: [Way; 3] = [Way::of(Pick::Max), Way::of(Pick::Percentile(PERCENTILE)), Way::of(Pick::Kl)];

/// What a search tried and chose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchReport {
    /// `default`, `mix` or `auto`.
    pub search: String,
    /// Samples scored on.
    pub samples: usize,
    /// Names of the compared values.
    pub compared: Vec<String>,
    /// Candidates in the order tried.
    pub tried: Vec<Tried>,
    /// Name of the winner.
    pub chosen: String,
    /// Nodes below the limit of `mix`, lowest score first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<Sensitive>,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Name, as in the log.
    pub name: String,
    /// Score; `None` when it is not a number.
    pub score: Option<f64>,
}

/// A node that loses much on its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitive {
    /// Node name.
    pub node: String,
    /// Score under KL when only this node is quantized.
    pub score: Option<f64>,
    /// The way with the best score for it.
    pub best: String,
}

/// The table that the search chooses which settings name.
pub(crate) fn search(
    observations: &Observations<'_>,
    calibration: &Calibration,
    requests: &Requests,
    scorer: &mut Scorer<'_, '_>,
) -> Result<(QuantTable, SearchReport), Stop> {
    let mut report =
        SearchReport { samples: scorer.samples(), compared: scorer.compared().to_vec(), ..SearchReport::default() };
    let (name, candidates) = match calibration.method {
        Method::Mix => ("mix", mix::mix(observations, calibration.sensitive_below, scorer, &mut report)?),
        Method::Auto => {
            let mut candidates = auto::auto(observations, scorer)?;
            if calibration.max_int16_macs > 0.0 {
                let budget = calibration.max_int16_macs;
                words::add(observations, requests, budget, scorer, &mut candidates)?;
            }
            ("auto", candidates)
        }
        _ => ("default", default::default(observations, scorer)?),
    };
    report.search = name.into();
    let (name, tables) = candidates.best().ok_or_else(nothing_wins)?;
    report.tried = candidates.tried();
    report.chosen = name;
    Ok((tables.whole, report))
}

fn nothing_wins() -> Stop {
    Stop::Failed(
        Diagnostic::error("CALIB11", "no candidate of the search has a score: every output holds NaN or infinities")
            .hint("run `ptq verify` with calibration.type = \"max\" to see where they begin")
            .into(),
    )
}

fn tried(name: String, score: f64) -> Tried {
    Tried { name, score: Some(score).filter(|s| !s.is_nan()) }
}

/// Names of the values to compare: the outputs, or the last quantized values in front of them.
pub(crate) fn compared(observations: &Observations<'_>, at: ScoreAt) -> Vec<String> {
    at_values(observations.graph, observations.placement, at)
}

/// As [`compared`], under this placement.
pub(crate) fn at_values(graph: &Graph, placement: &Placement, at: ScoreAt) -> Vec<String> {
    let name = |v: &ValueId| graph.value(*v).name.clone();
    if at == ScoreAt::Output {
        return graph.outputs.iter().map(name).collect();
    }
    let producers = graph.producers();
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<ValueId> = graph.outputs.clone();
    while let Some(v) = open.pop() {
        if !seen.insert(v) {
            continue;
        }
        let Some(id) = producers[v.0 as usize] else { continue };
        let quantized = placement.nodes[id.0 as usize].on == Device::Bpu;
        if quantized {
            found.insert(v);
        } else {
            open.extend(graph.node(id).inputs.iter().flatten().filter(|v| graph.constant(**v).is_none()));
        }
    }
    if found.is_empty() { graph.outputs.iter().map(name).collect() } else { found.iter().map(name).collect() }
}

#[cfg(test)]
mod tests;

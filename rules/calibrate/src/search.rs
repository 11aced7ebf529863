//! Searches for the best table, one file each. Called by the calibrate rule.
//!
//! A candidate's score is the mean over samples of the smallest cosine similarity, in f64, of any compared value between
//! the float graph and the fake-quantized one. A score that is not a number never wins; ties go to the earlier candidate.

mod auto;
mod default;
mod mix;
mod words;

pub(crate) use mix::computing;

use crate::answers::{Answers, Stop, request};
use crate::channels::ChannelRanges;
use crate::params::{Calibration, Method, Pick, ScoreAt, Way};
use crate::rule::merged_channels;
use crate::score::{QUANT, REFERENCE, SCORES, ScoreParams};
use crate::table::Observations;
use bytes::Bytes;
use ptq_ir::{Device, Diagnostic, Graph, QuantTable, ValueId};
use ptq_place::{Placement, Requests};
use ptq_rule::{ActionRequest, Blobs, Failure, InputRef};
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

/// The table that the search chooses which settings name. `others` are the samples that corrections are computed from.
pub(crate) fn search(
    observations: &Observations<'_>,
    calibration: &Calibration,
    requests: &Requests,
    scorer: &mut Scorer<'_, '_>,
    others: &[Vec<String>],
) -> Result<(QuantTable, SearchReport), Stop> {
    let mut report =
        SearchReport { samples: scorer.samples.len(), compared: scorer.params.at.clone(), ..SearchReport::default() };
    let (name, mut candidates) = match calibration.method {
        Method::Mix => ("mix", mix::mix(observations, calibration.sensitive_below, scorer, &mut report)?),
        Method::Auto => {
            let mut candidates = auto::auto(observations, scorer, others)?;
            if calibration.max_int16_macs > 0.0 {
                let budget = calibration.max_int16_macs;
                words::add(observations, requests, budget, scorer, others, &mut candidates)?;
            }
            ("auto", candidates)
        }
        _ => ("default", default::default(observations, scorer)?),
    };
    report.search = name.into();
    let winner = candidates.leader().ok_or_else(nothing_wins)?;
    report.tried = candidates.names.iter().zip(&candidates.scores).map(|(n, s)| tried(n.clone(), *s)).collect();
    report.chosen.clone_from(&candidates.names[winner]);
    Ok((candidates.tables.swap_remove(winner), report))
}

/// Tables with their scores, in the order tried.
#[derive(Default)]
struct Candidates {
    names: Vec<String>,
    tables: Vec<QuantTable>,
    scores: Vec<f64>,
}

impl Candidates {
    /// Scores more tables. Where march and graph make one equal to a table that was scored already, its score is known.
    fn add(&mut self, more: Vec<(String, QuantTable)>, scorer: &mut Scorer<'_, '_>) -> Result<(), Stop> {
        let known = |t: &QuantTable| self.tables.iter().position(|k| k.same_parameters(t)).map(|i| self.scores[i]);
        let scores: Vec<Option<f64>> = more.iter().map(|(_, t)| known(t)).collect();
        let new: Vec<QuantTable> =
            more.iter().zip(&scores).filter(|(_, s)| s.is_none()).map(|((_, t), _)| t.clone()).collect();
        let mut found = if new.is_empty() { Vec::new() } else { scorer.whole(&new)? }.into_iter();
        for ((name, table), score) in more.into_iter().zip(scores) {
            self.names.push(name);
            self.tables.push(table);
            self.scores.push(score.or_else(|| found.next()).unwrap_or(f64::NAN));
        }
        Ok(())
    }

    /// Name and table of the best so far.
    fn best(&self) -> Option<(String, QuantTable)> {
        self.leader().map(|i| (self.names[i].clone(), self.tables[i].clone()))
    }

    /// The best so far; `None` when no score is a number.
    fn leader(&self) -> Option<usize> {
        best(&self.scores)
    }
}

/// Asks for scores.
pub(crate) struct Scorer<'a, 'r> {
    answers: &'a mut Answers<'r>,
    params: ScoreParams,
    /// Blob names of the samples to score on.
    samples: Vec<Vec<String>>,
    /// The actions that observe ranges per channel.
    per_channel: Vec<ActionRequest>,
    reference: Option<Bytes>,
}

impl<'a, 'r> Scorer<'a, 'r> {
    /// Scores at these values on these samples (blob names, one list a sample). `per_channel` is asked for when a
    /// candidate needs it.
    pub(crate) fn new(
        answers: &'a mut Answers<'r>,
        params: ScoreParams,
        samples: Vec<Vec<String>>,
        per_channel: Vec<ActionRequest>,
    ) -> Self {
        Scorer { answers, params, samples, per_channel, reference: None }
    }

    /// Ranges per channel.
    pub(crate) fn channels(&mut self) -> Result<ChannelRanges, Stop> {
        Ok(merged_channels(self.answers.ask(self.per_channel.clone())?)?)
    }

    /// For requests of other kinds.
    pub(crate) fn answers(&mut self) -> &mut Answers<'r> {
        self.answers
    }

    /// Scores of whole tables.
    pub(crate) fn whole(&mut self, tables: &[QuantTable]) -> Result<Vec<f64>, Stop> {
        let requests = tables.iter().map(|t| self.request("score", &self.params, Some(t))).collect::<Result<_, _>>()?;
        let answers = self.asked(requests)?;
        answers.iter().map(|s| s.first().copied().ok_or_else(|| bad("a score is missing"))).collect()
    }

    /// Scores of these nodes quantized alone, for each table.
    pub(crate) fn alone(&mut self, tables: &[QuantTable], nodes: &[String]) -> Result<Vec<Vec<f64>>, Stop> {
        let params = ScoreParams { nodes: nodes.to_vec(), ..self.params.clone() };
        let requests =
            tables.iter().map(|t| self.request("sensitivity", &params, Some(t))).collect::<Result<_, _>>()?;
        let answers = self.asked(requests)?;
        if answers.iter().any(|s| s.len() != nodes.len()) {
            return Err(bad("a score is missing"));
        }
        Ok(answers)
    }

    /// Asks for the float values first, once.
    fn asked(&mut self, requests: Vec<ActionRequest>) -> Result<Vec<Vec<f64>>, Stop> {
        let blob =
            |blobs: &Blobs, name: &str| blobs.get(name).cloned().ok_or_else(|| bad(&format!("a result has no {name}")));
        let reference = match &self.reference {
            Some(bytes) => bytes.clone(),
            None => {
                let request = self.request("reference", &self.params, None)?;
                let found = self.answers.ask(vec![request])?;
                let bytes = blob(&found[0], REFERENCE)?;
                self.reference = Some(bytes.clone());
                bytes
            }
        };
        let with_reference = |mut r: ActionRequest| {
            r.inputs.push((REFERENCE.to_owned(), InputRef::Inline(reference.clone())));
            r
        };
        let found = self.answers.ask(requests.into_iter().map(with_reference).collect())?;
        let decode = |blobs: &Blobs| {
            ptq_ir::from_bytes(&blob(blobs, SCORES)?).map_err(|e| bad(&format!("scores do not decode: {e}")))
        };
        found.iter().map(decode).collect()
    }

    fn request(
        &self,
        rule: &'static str,
        params: &ScoreParams,
        table: Option<&QuantTable>,
    ) -> Result<ActionRequest, Stop> {
        let table = table.map(ptq_ir::to_bytes).transpose().map_err(|e| bad(&e.to_string()))?;
        let made = table.into_iter().map(|bytes| (QUANT, bytes)).collect();
        Ok(request(rule, params, self.samples.iter().flatten(), made)?)
    }
}

fn bad(why: &str) -> Stop {
    Stop::Failed(Failure::from(Diagnostic::error("CALIB10", why)))
}

/// Index of the highest score; the first of equals. `None` when none is a number.
fn best(scores: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, s) in scores.iter().enumerate().filter(|(_, s)| !s.is_nan()) {
        if best.is_none_or(|b| *s > scores[b]) {
            best = Some(i);
        }
    }
    best
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
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_earlier_candidate_and_nan_never_wins() {
        assert_eq!(best(&[f64::NAN, 0.5, 0.5, 0.4]), Some(1));
        assert_eq!(best(&[f64::NAN]), None);
        assert_eq!(best(&[-1.0, f64::NAN, 0.1]), Some(2));
    }
}

//! Scores of tables, on samples that took no part in making them.

use super::candidates::Tables;
use crate::answers::{Answers, Stop, request};
use crate::channels::{ChannelRanges, merge};
use crate::params::Way;
use crate::rule::merged_channels;
use crate::score::{QUANT, REFERENCE, SCORES, ScoreParams};
use crate::table::Observations;
use bytes::Bytes;
use ptq_ir::{Diagnostic, QuantTable};
use ptq_rule::{ActionRequest, Blobs, Failure, InputRef};

/// Samples that judge, and those that ranges of channels and corrections are made of: what only fits the samples that it was made from
/// must not win.
pub(crate) struct Part {
    /// Blob names of the samples to score on, one list a sample.
    pub(crate) held: Vec<Vec<String>>,
    /// Blob names of the others.
    pub(crate) others: Vec<Vec<String>>,
    /// The actions that observe ranges of channels on the others.
    pub(crate) per_channel: Vec<ActionRequest>,
}

/// Asks for scores.
pub(crate) struct Scorer<'a, 'r> {
    answers: &'a mut Answers<'r>,
    params: ScoreParams,
    parts: Vec<Part>,
    /// Ranges of channels of each part, and of all samples.
    channels: Option<(Vec<ChannelRanges>, ChannelRanges)>,
    /// The float values of each part.
    references: Vec<Bytes>,
}

impl<'a, 'r> Scorer<'a, 'r> {
    /// Scores at these values, part by part.
    pub(crate) fn new(answers: &'a mut Answers<'r>, params: ScoreParams, parts: Vec<Part>) -> Self {
        Scorer { answers, params, parts, channels: None, references: Vec::new() }
    }

    /// For requests of other kinds.
    pub(super) fn answers(&mut self) -> &mut Answers<'r> {
        self.answers
    }

    /// Names of the compared values.
    pub(super) fn compared(&self) -> &[String] {
        &self.params.at
    }

    /// Samples scored on.
    pub(super) fn samples(&self) -> usize {
        self.parts.iter().map(|p| p.held.len()).sum()
    }

    /// What each part's corrections are made of.
    pub(super) fn others(&self) -> Vec<Vec<Vec<String>>> {
        self.parts.iter().map(|p| p.others.clone()).collect()
    }

    /// All samples.
    pub(super) fn all(&self) -> Vec<Vec<String>> {
        let mut all: Vec<Vec<String>> =
            self.parts.iter().flat_map(|p| p.held.iter().chain(&p.others)).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The tables in which every range is chosen this way.
    pub(super) fn tables(&mut self, observations: &Observations<'_>, way: Way) -> Result<Tables, Stop> {
        if !way.per_channel && !way.equalized {
            return Ok(self.same(observations.table(&|_| way)?));
        }
        if self.channels.is_none() {
            let asked: Vec<ActionRequest> = self.parts.iter().flat_map(|p| p.per_channel.iter().cloned()).collect();
            let (mut found, mut each) = (self.answers.ask(asked)?, Vec::new());
            for part in &self.parts {
                let (own, others) = found.split_at(part.per_channel.len());
                each.push(merged_channels(own)?);
                found = others;
            }
            let mut all = ChannelRanges::new();
            each.iter().for_each(|ranges| merge(&mut all, ranges));
            self.channels = Some((each, all));
        }
        let (each, all) = self.channels.as_ref().ok_or_else(|| bad("ranges of channels are missing"))?;
        let of = |channels: &ChannelRanges| Observations { channels, ..*observations }.table(&|_| way);
        Ok(Tables { judged: each.iter().map(of).collect::<Result<_, _>>()?, whole: of(all)? })
    }

    /// A table that does not depend on what is held back.
    pub(super) fn same(&self, table: QuantTable) -> Tables {
        Tables { judged: vec![table.clone(); self.parts.len()], whole: table }
    }

    /// Scores of whole tables, sample by sample: each part's samples judge the table that was made of the others.
    pub(super) fn scores(&mut self, tables: &[&Tables]) -> Result<Vec<Vec<f64>>, Stop> {
        let mut all = vec![Vec::new(); tables.len()];
        let judged = |part: usize| tables.iter().filter_map(move |t| t.judged.get(part));
        for (i, score) in self.asked("score", &self.params.clone(), &judged)?.iter().enumerate() {
            if score.len() != self.parts[i / tables.len()].held.len() {
                return Err(bad("a score is missing"));
            }
            all[i % tables.len()].extend(score);
        }
        Ok(all)
    }

    /// Scores of these nodes quantized alone, for each table.
    pub(super) fn alone(&mut self, tables: &[QuantTable], nodes: &[String]) -> Result<Vec<Vec<f64>>, Stop> {
        let params = ScoreParams { nodes: nodes.to_vec(), ..self.params.clone() };
        let mut sums = vec![vec![0.0; nodes.len()]; tables.len()];
        for (i, scores) in self.asked("sensitivity", &params, &|_| tables.iter())?.iter().enumerate() {
            if scores.len() != nodes.len() {
                return Err(bad("a score is missing"));
            }
            let share = self.share(i / tables.len());
            sums[i % tables.len()].iter_mut().zip(scores).for_each(|(sum, s)| *sum += share * s);
        }
        Ok(sums)
    }

    fn share(&self, part: usize) -> f64 {
        self.parts[part].held.len() as f64 / self.samples().max(1) as f64
    }

    /// Scores of all tables of the first part, then of the second one, and so on. Asks for the float values first, once.
    fn asked<'t, I: Iterator<Item = &'t QuantTable>>(
        &mut self,
        rule: &'static str,
        params: &ScoreParams,
        tables: &dyn Fn(usize) -> I,
    ) -> Result<Vec<Vec<f64>>, Stop> {
        let blob =
            |blobs: &Blobs, name: &str| blobs.get(name).cloned().ok_or_else(|| bad(&format!("a result has no {name}")));
        if self.references.is_empty() {
            let each = (0..self.parts.len()).map(|part| self.request("reference", &self.params, part, None));
            for found in self.answers.ask(each.collect::<Result<_, _>>()?)? {
                self.references.push(blob(found, REFERENCE)?);
            }
        }
        let mut requests = Vec::new();
        for (part, float) in self.references.iter().enumerate() {
            for table in tables(part) {
                let mut request = self.request(rule, params, part, Some(table))?;
                request.inputs.push((REFERENCE.to_owned(), InputRef::Inline(float.clone())));
                requests.push(request);
            }
        }
        let decode = |blobs: &Blobs| {
            ptq_ir::from_bytes(&blob(blobs, SCORES)?).map_err(|e| bad(&format!("scores do not decode: {e}")))
        };
        self.answers.ask(requests)?.iter().map(decode).collect()
    }

    fn request(
        &self,
        rule: &'static str,
        params: &ScoreParams,
        part: usize,
        table: Option<&QuantTable>,
    ) -> Result<ActionRequest, Stop> {
        let table = table.map(ptq_ir::to_bytes).transpose().map_err(|e| bad(&e.to_string()))?;
        let made = table.into_iter().map(|bytes| (QUANT, bytes)).collect();
        Ok(request(rule, params, self.parts[part].held.iter().flatten(), made)?)
    }
}

fn bad(why: &str) -> Stop {
    Stop::Failed(Failure::from(Diagnostic::error("CALIB10", why)))
}

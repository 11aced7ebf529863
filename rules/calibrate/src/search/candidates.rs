//! What a search tried, with scores, and how the best is told.

use super::{Scorer, Tried, tried};
use crate::answers::Stop;
use crate::improve::{Improvement, improved};
use crate::score::mean;
use crate::table::Observations;
use ptq_ir::QuantTable;

/// A candidate's tables.
#[derive(Clone)]
pub(super) struct Tables {
    /// For each part of the samples, the table that it judges: ranges of channels and corrections are made of the other samples.
    pub(super) judged: Vec<QuantTable>,
    /// The table that is made of all samples.
    pub(super) whole: QuantTable,
}

impl Tables {
    /// Every table changed.
    pub(super) fn map<E>(&self, change: impl Fn(&QuantTable) -> Result<QuantTable, E>) -> Result<Tables, E> {
        Ok(Tables { judged: self.judged.iter().map(&change).collect::<Result<_, E>>()?, whole: change(&self.whole)? })
    }

    fn same_parameters(&self, other: &Tables) -> bool {
        let mut pairs = self.judged.iter().zip(&other.judged);
        self.whole.same_parameters(&other.whole) && pairs.all(|(a, b)| a.same_parameters(b))
    }

    /// With weights and biases as they are in float.
    fn float_weights(&self) -> Tables {
        let of = |t: &QuantTable| QuantTable { activations: t.activations.clone(), ..QuantTable::default() };
        Tables { judged: self.judged.iter().map(of).collect(), whole: of(&self.whole) }
    }
}

/// How a table is corrected.
#[derive(Clone, Copy)]
pub(super) enum Correction {
    /// Biases only.
    Bias,
    /// Weights are rounded with compensation.
    Rounding,
}

impl Correction {
    fn name(self) -> &'static str {
        match self {
            Correction::Bias => "bias correction",
            Correction::Rounding => "compensated rounding",
        }
    }

    fn rounds(self) -> bool {
        matches!(self, Correction::Rounding)
    }

    fn of<'a>(self, table: &'a QuantTable, samples: &'a [Vec<String>]) -> Improvement<'a> {
        Improvement { table, samples, rounding: self.rounds() }
    }
}

/// Tables with their score.
struct Candidate {
    name: String,
    tables: Tables,
    /// Mean over samples of the smallest cosine.
    score: f64,
    /// The same sample by sample.
    each: Vec<f64>,
    /// Whether weights are rounded with compensation.
    rounded: bool,
    /// Whether the table of all samples is not corrected yet.
    open: bool,
}

/// What was tried, in order.
#[derive(Default)]
pub(super) struct Candidates {
    all: Vec<Candidate>,
    /// What a corrected table must score at least on all samples.
    least: Option<f64>,
}

impl Candidates {
    /// Scores more tables. Where march and graph make one equal to a table that was scored already, its score is known.
    pub(super) fn add(&mut self, more: Vec<(String, Tables)>, scorer: &mut Scorer<'_, '_>) -> Result<(), Stop> {
        let known = |t: &Tables| self.all.iter().find(|k| k.tables.same_parameters(t)).map(|k| k.each.clone());
        let scores: Vec<Option<Vec<f64>>> = more.iter().map(|(_, t)| known(t)).collect();
        let new: Vec<&Tables> = more.iter().zip(&scores).filter(|(_, s)| s.is_none()).map(|((_, t), _)| t).collect();
        let mut found = if new.is_empty() { Vec::new() } else { scorer.scores(&new)? }.into_iter();
        for ((name, tables), score) in more.into_iter().zip(scores) {
            let each = score.or_else(|| found.next()).unwrap_or_default();
            self.all.push(Candidate { name, tables, score: mean(&each), each, rounded: false, open: false });
        }
        Ok(())
    }

    /// From now on a corrected table has to be no worse than the best so far, on all samples.
    pub(super) fn keep(&mut self) {
        self.least = self.score();
    }

    /// Scores corrections of tables, each made of the samples that do not judge it. The best, if one leads, is then made of all samples, and taken
    /// back where it scores less on them than [`Candidates::keep`] asks for.
    pub(super) fn correct(
        &mut self,
        bases: Vec<(String, Tables, Correction)>,
        observations: &Observations<'_>,
        scorer: &mut Scorer<'_, '_>,
    ) -> Result<(), Stop> {
        let first = self.all.len();
        let least = self.least.unwrap_or(f64::NEG_INFINITY);
        let others = scorer.others();
        let mut asked: Vec<Improvement<'_>> = Vec::new();
        for (_, tables, how) in &bases {
            asked.extend(tables.judged.iter().zip(&others).map(|(table, others)| how.of(table, others)));
        }
        let mut judged = improved(&asked, observations, scorer.answers())?.into_iter();
        let mut more = Vec::new();
        for (name, tables, how) in &bases {
            let judged = judged.by_ref().take(others.len()).collect();
            more.push((format!("{name} + {}", how.name()), Tables { judged, whole: tables.whole.clone() }));
        }
        let scores = scorer.scores(&more.iter().map(|(_, t)| t).collect::<Vec<_>>())?;
        for (((name, tables), each), (_, _, how)) in more.into_iter().zip(scores).zip(&bases) {
            let rounded = how.rounds();
            self.all.push(Candidate { name, tables, score: mean(&each), each, rounded, open: true });
        }
        let all = scorer.all();
        while let Some(i) = self.leader().filter(|i| self.all[*i].open) {
            let how = bases[i - first].2;
            let asked = [how.of(&self.all[i].tables.whole, &all)];
            let whole = improved(&asked, observations, scorer.answers())?.swap_remove(0);
            let score = mean(&scorer.scores(&[&scorer.same(whole.clone())])?[0]);
            let leader = &mut self.all[i];
            leader.tables.whole = whole;
            leader.open = false;
            // It may not be worse than what was tried before, on the samples that all of them were scored on.
            if score.is_nan() || score < least {
                leader.score = f64::NAN;
            }
        }
        Ok(())
    }

    /// The tables that keep most of the float model when weights are left in float, the best first: what corrections of weights cannot
    /// make up for is what activations lose.
    pub(super) fn bases(&self, most: usize, scorer: &mut Scorer<'_, '_>) -> Result<Vec<(String, Tables)>, Stop> {
        let mut apart: Vec<(Tables, &Candidate)> = Vec::new();
        for candidate in &self.all {
            let tables = candidate.tables.float_weights();
            if !apart.iter().any(|(t, _)| t.same_parameters(&tables)) {
                apart.push((tables, candidate));
            }
        }
        let scores = scorer.scores(&apart.iter().map(|(t, _)| t).collect::<Vec<_>>())?;
        let mut scores: Vec<f64> = scores.iter().map(|each| mean(each)).collect();
        let mut out = Vec::new();
        while let Some(i) = best(&scores).filter(|_| out.len() < most) {
            scores[i] = f64::NAN;
            out.push((apart[i].1.name.clone(), apart[i].1.tables.clone()));
        }
        Ok(out)
    }

    /// Name and tables of the best so far.
    pub(super) fn best(&self) -> Option<(String, Tables)> {
        self.leader().map(|i| (self.all[i].name.clone(), self.all[i].tables.clone()))
    }

    /// The score of the best so far.
    pub(super) fn score(&self) -> Option<f64> {
        self.leader().map(|i| self.all[i].score)
    }

    /// The best so far; `None` when no score is a number. The best of those with rounded weights leads unless the samples tell that it is worse:
    /// they judge what fewer samples made.
    pub(super) fn leader(&self) -> Option<usize> {
        let among = |rounded: bool| {
            let score = |c: &Candidate| if c.rounded || !rounded { c.score } else { f64::NAN };
            best(&self.all.iter().map(score).collect::<Vec<f64>>())
        };
        let all = among(false)?;
        let tells = |&r: &usize| !is_better(&self.all[all].each, &self.all[r].each);
        Some(among(true).filter(tells).unwrap_or(all))
    }

    /// For the report.
    pub(super) fn tried(&self) -> Vec<Tried> {
        self.all.iter().map(|c| tried(c.name.clone(), c.score)).collect()
    }
}

/// Whether the mean of the paired differences is above zero by more than its standard error.
fn is_better(a: &[f64], b: &[f64]) -> bool {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let (n, gain) = (differences.len() as f64, mean(&differences));
    let variance = differences.iter().map(|d| (d - gain).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    gain > (variance / n).sqrt()
}

/// Index of the highest score; the first of equals. `None` when none is a number.
pub(super) fn best(scores: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, s) in scores.iter().enumerate().filter(|(_, s)| !s.is_nan()) {
        if best.is_none_or(|b| *s > scores[b]) {
            best = Some(i);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(each: &[f64], rounded: bool) -> Candidate {
        let tables = Tables { judged: Vec::new(), whole: QuantTable::default() };
        Candidate { name: String::new(), tables, score: mean(each), each: each.to_vec(), rounded, open: false }
    }

    #[test]
    fn rounded_weights_lead_unless_the_samples_tell_that_they_are_worse() {
        let leader = |rounded: [f64; 4]| {
            let all = vec![candidate(&[0.9, 0.92, 0.94, 0.96], false), candidate(&rounded, true)];
            Candidates { all, least: None }.leader()
        };
        assert_eq!(leader([0.91, 0.93, 0.95, 0.97]), Some(1));
        assert_eq!(leader([0.95, 0.85, 0.99, 0.91]), Some(1), "lower by less than samples differ");
        assert_eq!(leader([0.89, 0.91, 0.93, 0.95]), Some(0), "lower on every sample");
        assert_eq!(leader([f64::NAN; 4]), Some(0));
    }

    #[test]
    fn ties_go_to_the_earlier_candidate_and_nan_never_wins() {
        assert_eq!(best(&[f64::NAN, 0.5, 0.5, 0.4]), Some(1));
        assert_eq!(best(&[f64::NAN]), None);
        assert_eq!(best(&[-1.0, f64::NAN, 0.1]), Some(2));
    }
}

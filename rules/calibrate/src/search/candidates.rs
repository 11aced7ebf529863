//! What a search tried, with scores, and how the best is told.

use super::{Scorer, Tried, tried};
use crate::answers::Stop;
use crate::improve::{Improvement, improved};
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

    fn of<'a>(self, table: &'a QuantTable, samples: &'a [Vec<String>]) -> Improvement<'a> {
        Improvement { table, samples, rounding: matches!(self, Correction::Rounding) }
    }
}

/// Tables with their score.
struct Candidate {
    name: String,
    tables: Tables,
    score: f64,
    /// Whether the table of all samples is not corrected yet.
    open: bool,
}

/// What was tried, in order.
#[derive(Default)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    /// Scores more tables. Where march and graph make one equal to a table that was scored already, its score is known.
    pub(super) fn add(&mut self, more: Vec<(String, Tables)>, scorer: &mut Scorer<'_, '_>) -> Result<(), Stop> {
        let known = |t: &Tables| self.0.iter().find(|k| k.tables.same_parameters(t)).map(|k| k.score);
        let scores: Vec<Option<f64>> = more.iter().map(|(_, t)| known(t)).collect();
        let new: Vec<&Tables> = more.iter().zip(&scores).filter(|(_, s)| s.is_none()).map(|((_, t), _)| t).collect();
        let mut found = if new.is_empty() { Vec::new() } else { scorer.scores(&new)? }.into_iter();
        for ((name, tables), score) in more.into_iter().zip(scores) {
            let score = score.or_else(|| found.next()).unwrap_or(f64::NAN);
            self.0.push(Candidate { name, tables, score, open: false });
        }
        Ok(())
    }

    /// Scores corrections of tables, each made of the samples that do not judge it. The best, if one leads, is then made of all samples, and taken
    /// back where it is worse on them than the best so far.
    pub(super) fn correct(
        &mut self,
        bases: Vec<(String, Tables, Correction)>,
        observations: &Observations<'_>,
        scorer: &mut Scorer<'_, '_>,
    ) -> Result<(), Stop> {
        let first = self.0.len();
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
        for ((name, tables), score) in more.into_iter().zip(scores) {
            self.0.push(Candidate { name, tables, score, open: true });
        }
        let all = scorer.all();
        while let Some(i) = self.leader().filter(|i| self.0[*i].open) {
            let how = bases[i - first].2;
            let asked = [how.of(&self.0[i].tables.whole, &all)];
            let whole = improved(&asked, observations, scorer.answers())?.swap_remove(0);
            let score = scorer.scores(&[&scorer.same(whole.clone())])?[0];
            let leader = &mut self.0[i];
            leader.tables.whole = whole;
            leader.open = false;
            // On samples that made it, it may seem better than it is.
            leader.score = if score.is_nan() { score } else { leader.score.min(score) };
        }
        Ok(())
    }

    /// The tables that keep most of the float model when weights are left in float, the best first: what corrections of weights cannot
    /// make up for is what activations lose.
    pub(super) fn bases(&self, most: usize, scorer: &mut Scorer<'_, '_>) -> Result<Vec<(String, Tables)>, Stop> {
        let mut apart: Vec<(Tables, &Candidate)> = Vec::new();
        for candidate in &self.0 {
            let tables = candidate.tables.float_weights();
            if !apart.iter().any(|(t, _)| t.same_parameters(&tables)) {
                apart.push((tables, candidate));
            }
        }
        let mut scores = scorer.scores(&apart.iter().map(|(t, _)| t).collect::<Vec<_>>())?;
        let mut out = Vec::new();
        while let Some(i) = best(&scores).filter(|_| out.len() < most) {
            scores[i] = f64::NAN;
            out.push((apart[i].1.name.clone(), apart[i].1.tables.clone()));
        }
        Ok(out)
    }

    /// Name and tables of the best so far.
    pub(super) fn best(&self) -> Option<(String, Tables)> {
        self.leader().map(|i| (self.0[i].name.clone(), self.0[i].tables.clone()))
    }

    /// The score of the best so far.
    pub(super) fn score(&self) -> Option<f64> {
        self.leader().map(|i| self.0[i].score)
    }

    /// The best so far; `None` when no score is a number.
    pub(super) fn leader(&self) -> Option<usize> {
        best(&self.0.iter().map(|c| c.score).collect::<Vec<f64>>())
    }

    /// For the report.
    pub(super) fn tried(&self) -> Vec<Tried> {
        self.0.iter().map(|c| tried(c.name.clone(), c.score)).collect()
    }
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

    #[test]
    fn ties_go_to_the_earlier_candidate_and_nan_never_wins() {
        assert_eq!(best(&[f64::NAN, 0.5, 0.5, 0.4]), Some(1));
        assert_eq!(best(&[f64::NAN]), None);
        assert_eq!(best(&[-1.0, f64::NAN, 0.1]), Some(2));
    }
}

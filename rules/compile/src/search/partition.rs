//! Cuts between groups: neighbours merged greedily, and dynamic programming over runs of layers.

use super::costs::Way;
use super::{Cost, Judge, O2_LAYERS};
use crate::plan::{Form, Group};
use std::ops::Range;

/// What dynamic programming minimizes. Groups overlap in a program, so the sum of their own times is not the only sensible
/// goal: it is an upper bound, and the sum of their transfers a lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// The sum of times.
    Time,
    /// The sum of bytes, then of times.
    Bytes,
    /// The sum of times, each at least half of it counted as transfers: between both.
    Both,
}

/// All goals, in the order in which they are tried.
pub(super) const GOALS: [Goal; 3] = [Goal::Time, Goal::Bytes, Goal::Both];

impl Judge<'_, '_> {
    fn value(&self, cost: Cost, goal: Goal) -> (u64, u64) {
        let transfers = (cost.bytes as f64 / self.base.hardware.ddr_bytes_per_cycle) as u64;
        match goal {
            Goal::Time => (cost.cycles, cost.bytes),
            Goal::Bytes => (cost.bytes, cost.cycles),
            Goal::Both => (cost.cycles + transfers, cost.bytes),
        }
    }

    /// The ways to compute these layers as one group.
    fn forms(&self, nodes: &Range<usize>, stripes: &[u16]) -> Vec<Form> {
        let single = nodes.len() == 1;
        let mut forms = if single { vec![Form::Layer] } else { Vec::new() };
        let fusable = self.base.fusable[nodes.clone()].iter().all(Option::is_some);
        if !fusable || (self.without.groups && !single) {
            return forms;
        }
        let height = self.base.fusable[nodes.end - 1].as_ref().map_or(1, |f| f.extents.h);
        let overlaps = nodes.clone().any(|n| self.base.fusable[n].as_ref().is_some_and(|f| f.overlaps()));
        let overlaps = overlaps && !self.without.rows;
        for &stripes in stripes.iter().filter(|&&s| s == 1 || usize::from(s) <= height) {
            forms.push(Form::Fused { stripes, cache: false, stream: false });
            if stripes > 1 && overlaps {
                forms.push(Form::Fused { stripes, cache: true, stream: false });
            }
            if matches!(stripes, 2..=8) && !self.without.streams {
                forms.push(Form::Fused { stripes, cache: overlaps, stream: true });
            }
        }
        forms
    }

    /// The best way to compute these layers as one group.
    fn group(&mut self, nodes: Range<usize>, stripes: &[u16], goal: Goal) -> Option<(Form, Cost)> {
        self.bordered(nodes, stripes, goal, false, false)
    }

    /// The same with borders in SRAM.
    fn bordered(
        &mut self,
        nodes: Range<usize>,
        stripes: &[u16],
        goal: Goal,
        resident: bool,
        stays: bool,
    ) -> Option<(Form, Cost)> {
        let mut best: Option<(Form, Cost)> = None;
        for form in self.forms(&nodes, stripes) {
            if form == Form::Layer && (resident || stays) {
                continue;
            }
            let Some(cost) = self.costs.of(self.base, nodes.clone(), Way { form, resident, stays }) else { continue };
            if best.is_none_or(|(_, b)| self.value(cost, goal) < self.value(b, goal)) {
                best = Some((form, cost));
            }
        }
        best
    }

    /// Every layer by itself, in its best form.
    pub(super) fn singles(&mut self, stripes: &[u16]) -> Vec<Group> {
        let best =
            |n: usize, j: &mut Self| j.group(n..n + 1, stripes, Goal::Time).map_or(Form::Layer, |(form, _)| form);
        (0..self.base.nodes.len()).map(|n| Group { layers: 1, form: best(n, self) }).collect()
    }

    /// Groups that grow forwards, up to [`O2_LAYERS`] layers, as long as that is better than starting a new one.
    pub(super) fn merged(&mut self, stripes: &[u16]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut open: Option<(Range<usize>, Cost)> = None;
        for n in 0..self.base.nodes.len() {
            let alone = self.group(n..n + 1, stripes, Goal::Time);
            let joined = open.as_ref().map(|(nodes, _)| nodes.start..n + 1).filter(|nodes| nodes.len() <= O2_LAYERS);
            let joined = joined.and_then(|nodes| self.group(nodes.clone(), stripes, Goal::Time).map(|g| (nodes, g)));
            if let (Some((nodes, (form, cost))), Some((_, own)), Some((_, before))) = (joined, alone, open.clone())
                && cost.cycles <= before.cycles + own.cycles
            {
                groups.pop();
                groups.push(Group { layers: nodes.len() as u32, form });
                open = Some((nodes, cost));
                continue;
            }
            let (form, cost) = alone.map_or((Form::Layer, None), |(form, cost)| (form, Some(cost)));
            groups.push(Group { layers: 1, form });
            open = cost.map(|cost| (n..n + 1, cost));
        }
        groups
    }

    /// The cuts with the smallest sum over all runs of at most `longest` layers. Where `keeps`, the last result of a group may
    /// stay in SRAM for the next one. At most about `most` new groups are timed for each layer that they end at. Returns the
    /// groups and the layers whose results stay.
    pub(super) fn partition(
        &mut self,
        longest: usize,
        stripes: &[u16],
        goal: Goal,
        keeps: bool,
        most: u64,
    ) -> (Vec<Group>, Vec<u32>) {
        let n = self.base.nodes.len();
        let states = if keeps { 2 } else { 1 };
        // Best sum up to each layer, by whether its result stays; with the last group and how the one before it ended.
        let mut best: Vec<[Option<Step>; 2]> = vec![[None; 2]; n + 1];
        best[0][0] = Some(Step { sum: (0, 0), group: Group { layers: 0, form: Form::Layer }, resident: false });
        for end in 1..=n {
            let limit = self.costs.evaluated() + most;
            for stays in 0..states {
                if stays == 1 && (end == n || !self.may_stay(end - 1)) {
                    continue;
                }
                for start in (end.saturating_sub(longest)..end).rev() {
                    let single = end - start == 1;
                    if !single && (self.base.fusable[start].is_none() || self.costs.evaluated() >= limit) {
                        break;
                    }
                    let mut fits = false;
                    for resident in 0..states {
                        let Some(before) = best[start][resident] else { continue };
                        let found = self.bordered(start..end, stripes, goal, resident == 1, stays == 1);
                        let Some((form, cost)) = found else { continue };
                        fits = true;
                        let (a, b) = self.value(cost, goal);
                        let sum = (before.sum.0 + a, before.sum.1 + b);
                        if best[end][stays].is_none_or(|old| sum < old.sum) {
                            let group = Group { layers: (end - start) as u32, form };
                            best[end][stays] = Some(Step { sum, group, resident: resident == 1 });
                        }
                    }
                    // Longer runs need more memory; a few more are tried because a stripe may shrink.
                    if !fits && end - start > 4 {
                        break;
                    }
                }
            }
        }
        let (mut groups, mut kept) = (Vec::new(), Vec::new());
        let (mut end, mut stays) = (n, false);
        while end > 0 {
            let layer = Step { sum: (0, 0), group: Group { layers: 1, form: Form::Layer }, resident: false };
            let step = best[end][usize::from(stays)].unwrap_or(layer);
            if stays {
                kept.push(end as u32 - 1);
            }
            groups.push(step.group);
            end = end.saturating_sub(step.group.layers as usize);
            stays = step.resident;
        }
        groups.reverse();
        kept.reverse();
        (groups, kept)
    }

    /// Whether a layer's result can stay in SRAM: whoever reads it works in groups.
    fn may_stay(&self, layer: usize) -> bool {
        self.base.fusable[layer].as_ref().is_some_and(|f| {
            let readers = self.base.consumers(f.output);
            readers.iter().all(|&r| self.base.fusable[r].is_some())
        })
    }
}

/// The best way to have computed the layers up to one.
#[derive(Clone, Copy)]
struct Step {
    sum: (u64, u64),
    group: Group,
    /// Whether the group's input stayed in SRAM.
    resident: bool,
}

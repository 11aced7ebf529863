//! Cuts between groups: neighbours merged greedily, and dynamic programming over runs of layers.

use super::{Cost, Judge};
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

    /// The best way to compute these layers as one group.
    fn group(&mut self, nodes: Range<usize>, stripes: &[u16], goal: Goal) -> Option<(Form, Cost)> {
        let single = nodes.len() == 1;
        let fusable = self.base.fusable[nodes.clone()].iter().all(Option::is_some);
        let mut forms = if single { vec![Form::Layer] } else { Vec::new() };
        if fusable {
            let height = self.base.fusable[nodes.end - 1].as_ref().map_or(1, |f| f.extents.h);
            let overlaps = nodes.clone().skip(1).any(|n| self.base.fusable[n].as_ref().is_some_and(|f| f.overlaps()));
            for &stripes in stripes.iter().filter(|&&s| s == 1 || usize::from(s) <= height) {
                forms.push(Form::Fused { stripes, cache: false, stream: false });
                if stripes > 1 && overlaps {
                    forms.push(Form::Fused { stripes, cache: true, stream: false });
                }
                if stripes == 2 || stripes == 4 {
                    forms.push(Form::Fused { stripes, cache: overlaps, stream: true });
                }
            }
        }
        let mut best: Option<(Form, Cost)> = None;
        for form in forms {
            let Some(cost) = self.costs.of(self.base, nodes.clone(), form) else { continue };
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

    /// Groups that grow forwards as long as that is better than starting a new one.
    pub(super) fn merged(&mut self, stripes: &[u16]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut open: Option<(Range<usize>, Cost)> = None;
        for n in 0..self.base.nodes.len() {
            let alone = self.group(n..n + 1, stripes, Goal::Time);
            let joined = open.as_ref().map(|(nodes, _)| nodes.start..n + 1);
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

    /// The cuts with the smallest sum over all runs of at most `longest` layers.
    pub(super) fn partition(&mut self, longest: usize, stripes: &[u16], goal: Goal) -> Vec<Group> {
        let n = self.base.nodes.len();
        // Best sum up to each layer, and its last group.
        let mut best: Vec<Option<((u64, u64), Group)>> = vec![None; n + 1];
        for end in 1..=n {
            for start in (end.saturating_sub(longest)..end).rev() {
                if self.base.fusable[start].is_none() && end - start > 1 {
                    break;
                }
                let before = if start == 0 {
                    (0, 0)
                } else if let Some((sum, _)) = best[start] {
                    sum
                } else {
                    continue;
                };
                let Some((form, cost)) = self.group(start..end, stripes, goal) else {
                    // Longer runs need more memory; a few more are tried because a stripe may shrink.
                    if end - start > 4 { break } else { continue }
                };
                let (a, b) = self.value(cost, goal);
                let sum = (before.0 + a, before.1 + b);
                if best[end].is_none_or(|(old, _)| sum < old) {
                    best[end] = Some((sum, Group { layers: (end - start) as u32, form }));
                }
            }
        }
        let mut groups = Vec::new();
        let mut end = n;
        while end > 0 {
            let group = best[end].map_or(Group { layers: 1, form: Form::Layer }, |(_, g)| g);
            groups.push(group);
            end = end.saturating_sub(group.layers as usize);
        }
        groups.reverse();
        groups
    }
}

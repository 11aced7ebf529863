//! O3's last steps: results that stay in SRAM, then small changes of the best plan.

use super::Judge;
use crate::plan::{Form, Group, Plan};

/// Small changes that are tried.
const MOVES: usize = 400;

impl Judge<'_, '_> {
    /// Improves the best plan.
    pub(super) fn local(&mut self, stripes: &[u16], ahead: &[u32]) {
        if !self.without.groups {
            self.whole(ahead);
        }
        self.keep();
        if self.without.local {
            return;
        }
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let (mut plan, mut cost) = self.best();
        for _ in 0..MOVES {
            let Some(changed) = change(&plan, stripes, &mut random).filter(|p| self.allows(p)) else { continue };
            if let Some(found) = self.judge(&changed)
                && self.better(found, cost)
            {
                (plan, cost) = (changed, found);
            }
        }
        self.keep();
    }

    /// Whether a plan does without what is to be left out.
    fn allows(&self, plan: &Plan) -> bool {
        let without = self.without;
        let group = |g: &Group| match g.form {
            Form::Layer => true,
            Form::Fused { cache, stream, .. } => {
                !(without.groups && g.layers > 1 || without.rows && cache || without.streams && stream)
            }
        };
        plan.groups.iter().all(group) && (!without.kept || plan.kept.is_empty())
    }

    /// Runs of layers without stripes, as long as they go: everything between two layers that stand alone.
    fn whole(&mut self, ahead: &[u32]) {
        for limit in [usize::MAX, 96, 48, 24] {
            let mut groups: Vec<Group> = Vec::new();
            for fusable in &self.base.fusable {
                let form = match fusable {
                    Some(_) => Form::Fused { stripes: 1, cache: false, stream: false },
                    None => Form::Layer,
                };
                match groups.last_mut() {
                    Some(g) if g.form == form && form != Form::Layer && (g.layers as usize) < limit => g.layers += 1,
                    _ => groups.push(Group { layers: 1, form }),
                }
            }
            self.try_with(&groups, ahead);
        }
    }

    /// Keeps results of groups in SRAM, one after the other, where that is better.
    fn keep(&mut self) {
        let (mut plan, mut cost) = self.best();
        if plan.ahead.is_none() || self.without.kept {
            return;
        }
        let ends: Vec<u32> = plan.starts().map(|(start, g)| start as u32 + g.layers - 1).collect();
        for node in ends {
            let mut kept = plan.kept.clone();
            match kept.iter().position(|&k| k == node) {
                Some(at) => drop(kept.remove(at)),
                None => kept.push(node),
            }
            kept.sort_unstable();
            let changed = Plan { kept, ..plan.clone() };
            if let Some(found) = self.judge(&changed)
                && self.better(found, cost)
            {
                (plan, cost) = (changed, found);
            }
        }
    }
}

/// A plan with one small change: two groups merged, one cut, a border moved, other stripes, one more or less result kept.
fn change(plan: &Plan, stripes: &[u16], random: &mut u64) -> Option<Plan> {
    let mut next = |n: usize| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        (*random % n.max(1) as u64) as usize
    };
    let mut groups = plan.groups.clone();
    let mut kept = plan.kept.clone();
    let at = next(groups.len());
    match next(5) {
        0 if at + 1 < groups.len() => {
            groups[at].layers += groups[at + 1].layers;
            groups[at].form = fused(groups[at].form, groups[at + 1].form);
            groups.remove(at + 1);
        }
        1 if groups[at].layers > 1 => {
            let first = 1 + next(groups[at].layers as usize - 1) as u32;
            let rest = Group { layers: groups[at].layers - first, form: groups[at].form };
            groups[at].layers = first;
            groups.insert(at + 1, rest);
        }
        2 if at + 1 < groups.len() => {
            let (from, to) = if next(2) == 0 { (at, at + 1) } else { (at + 1, at) };
            if groups[from].layers < 2 || groups[to].form == Form::Layer {
                return None;
            }
            groups[from].layers -= 1;
            groups[to].layers += 1;
        }
        3 => {
            let form = fused(groups[at].form, groups[at].form);
            let Form::Fused { cache, stream, .. } = form else { return None };
            let stripes = *stripes.get(next(stripes.len()))?;
            groups[at].form = match next(4) {
                0 => Form::Fused { stripes, cache: !cache, stream },
                1 => Form::Fused { stripes, cache, stream: !stream },
                _ => Form::Fused { stripes, cache, stream },
            };
        }
        _ => {
            let end = groups[..=at].iter().map(|g| g.layers).sum::<u32>() - 1;
            match kept.iter().position(|&k| k == end) {
                Some(i) => drop(kept.remove(i)),
                None => kept.push(end),
            }
            kept.sort_unstable();
        }
    }
    Some(Plan { groups, kept, ahead: plan.ahead })
}

/// The form of two groups together.
fn fused(a: Form, b: Form) -> Form {
    match (a, b) {
        (Form::Fused { .. }, _) => a,
        (Form::Layer, Form::Fused { .. }) => b,
        (Form::Layer, Form::Layer) => Form::Fused { stripes: 1, cache: false, stream: false },
    }
}

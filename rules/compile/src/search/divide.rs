//! The last step of a search: its best plans spread over cores and cut into function calls. The plans as they are stay among the
//! candidates, so a program for several cores is never predicted to be worse than one for a single core; and the best plan of
//! every lower level is spread too, so a higher level is not worse either.

use super::{Cost, Judge, measure};
use crate::division::{Division, Followed};
use crate::plan::{Form, Group, Plan};
use ptq_sim::Record;
use ptq_sim::timing::schedule;
use std::collections::BTreeMap;

/// Most times that calls which are too long are cut again.
const ROUNDS: usize = 16;

/// A division's program, where its calls begin, and its cost.
#[derive(Clone, Debug)]
pub(crate) struct Divided {
    pub(crate) followed: Followed,
    pub(crate) commands: Vec<Record>,
    pub(crate) calls: Vec<u32>,
    pub(crate) cost: Cost,
    /// Cycles of each call.
    times: Vec<u64>,
}

/// What to spread a plan over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Cores that one run may use; 0 and 1 are a single one.
    pub cores: u8,
    /// Longest function call in microseconds; 0 for any.
    pub call_us: u32,
}

impl Judge<'_, '_> {
    /// The best division of these plans, and how many were judged.
    pub(super) fn divided(&self, plans: &[Plan], spread: Spread) -> (Option<Divided>, u64) {
        let mut d = Divisions { judge: self, longest: self.cycles(spread.call_us), seen: BTreeMap::new() };
        let mut best: Option<Divided> = None;
        for plan in plans {
            let mut found: Vec<Followed> = vec![Followed::whole(plan.clone())];
            if spread.cores > 1 && plan.ahead.is_some() {
                found.extend(d.over_cores(plan, spread.cores));
            }
            for followed in found {
                let followed = if d.longest.is_some() { d.cut(followed) } else { followed };
                let Some(divided) = d.judge(followed) else { continue };
                if best.as_ref().is_none_or(|b| d.better(&divided, b)) {
                    best = Some(divided);
                }
            }
        }
        (best, d.seen.len() as u64)
    }

    /// Cycles of this many microseconds; `None` of 0.
    fn cycles(&self, us: u32) -> Option<u64> {
        (us > 0).then(|| u64::from(us) * u64::from(self.base.hardware.clock_mhz))
    }
}

struct Divisions<'j, 'b, 'a> {
    judge: &'j Judge<'b, 'a>,
    /// Longest call in cycles.
    longest: Option<u64>,
    seen: BTreeMap<Followed, Option<Cost>>,
}

impl Divisions<'_, '_, '_> {
    fn judge(&mut self, followed: Followed) -> Option<Divided> {
        let base = self.judge.base;
        let followed = followed.settled(base);
        let program = followed.program(base);
        let divided = program.map(|(commands, calls)| {
            let (cost, times) = (measure(&commands, base), times(&commands, &calls, base.hardware));
            Divided { followed: followed.clone(), commands, calls, cost, times }
        });
        self.seen.insert(followed, divided.as_ref().map(|d| d.cost));
        divided
    }

    /// Cycles by which the longest call is too long.
    fn excess(&self, d: &Divided) -> u64 {
        let longest = d.times.iter().max().copied().unwrap_or(0);
        self.longest.map_or(0, |most| longest.saturating_sub(most))
    }

    fn better(&self, a: &Divided, b: &Divided) -> bool {
        let worth = |d: &Divided| (self.excess(d), self.judge.worth(d.cost, self.judge.bests()));
        worth(a) < worth(b)
    }

    /// The plan with all groups divided that can be, then with each of them as it is better.
    fn over_cores(&mut self, plan: &Plan, cores: u8) -> Option<Followed> {
        let spread =
            |split: Vec<u32>| Followed { plan: plan.clone(), division: Division { cores, split, calls: Vec::new() } };
        let fused = plan.starts().filter(|(_, g)| g.form != Form::Layer).map(|(start, _)| start as u32);
        // Groups that can be divided at all: each is tried alone.
        let mut best: Option<Divided> = None;
        let mut gains: Vec<u32> = Vec::new();
        let mut able: Vec<u32> = Vec::new();
        let whole = self.judge(Followed::whole(plan.clone()))?;
        for start in fused {
            let Some(one) = self.judge(spread(vec![start])) else { continue };
            able.push(start);
            if self.better(&one, &whole) {
                gains.push(start);
            }
        }
        for split in [able.clone(), gains] {
            if split.is_empty() {
                continue;
            }
            let Some(all) = self.judge(spread(split)) else { continue };
            if best.as_ref().is_none_or(|b| self.better(&all, b)) {
                best = Some(all);
            }
        }
        let mut best = best?;
        for start in able {
            let mut split = best.followed.division.split.clone();
            match split.iter().position(|&s| s == start) {
                Some(at) => drop(split.remove(at)),
                None => split.push(start),
            }
            split.sort_unstable();
            if split.is_empty() {
                continue;
            }
            // What is kept in SRAM comes from the plan itself: another division may keep what this one cannot.
            let Some(other) = self.judge(spread(split)) else { continue };
            if self.better(&other, &best) {
                best = other;
            }
        }
        Some(best.followed)
    }

    /// Cuts a plan into calls that are short enough, as few as one pass finds.
    fn cut(&mut self, followed: Followed) -> Followed {
        let Some(longest) = self.longest else { return followed };
        let original = followed.clone();
        let Some(whole) = self.judge(followed) else { return original };
        if self.excess(&whole) == 0 {
            return whole.followed;
        }
        let Some(mut apart) = self.apart(original.clone(), longest) else { return whole.followed };
        // Neighbours together as long as they are short enough.
        let mut at = 0;
        while at < apart.followed.division.calls.len() {
            let together = apart.times[at] + apart.times[at + 1];
            let mut fewer = apart.followed.clone();
            fewer.plan.kept = original.plan.kept.clone();
            fewer.division.calls.remove(at);
            // Two calls are at least as long as their DDR and computing; far too long ones are not tried.
            let merged = if together <= longest + longest / 2 { self.judge(fewer) } else { None };
            match merged {
                Some(merged) if self.excess(&merged) <= self.excess(&apart) => apart = merged,
                _ => at += 1,
            }
        }
        apart.followed
    }

    /// Every group in a call of its own; groups that take too long by themselves are halved.
    fn apart(&mut self, mut followed: Followed, longest: u64) -> Option<Divided> {
        let mut best = None;
        for _ in 0..ROUNDS {
            followed.division.calls =
                followed.plan.starts().map(|(start, _)| start as u32).filter(|&s| s > 0).collect();
            let Some(divided) = self.judge(followed.clone()) else { break };
            let mut groups: Vec<Group> = Vec::new();
            for (group, &time) in followed.plan.groups.iter().zip(&divided.times) {
                match (time > longest && group.layers > 1, group.layers / 2) {
                    (true, half) => {
                        groups.extend([half, group.layers - half].map(|layers| Group { layers, form: group.form }));
                    }
                    (false, _) => groups.push(*group),
                }
            }
            let done = groups.len() == followed.plan.groups.len();
            best = Some(divided);
            if done {
                break;
            }
            followed.plan.groups = groups;
        }
        best
    }
}

/// Cycles of each call.
fn times(commands: &[Record], calls: &[u32], hardware: &ptq_march::Hardware) -> Vec<u64> {
    let spans = schedule(commands, hardware);
    let ends = calls.iter().filter_map(|&c| spans.get((c as usize).checked_sub(1)?)).map(|s| s.end);
    let last = spans.iter().map(|s| s.end).max().unwrap_or(0);
    let mut before = 0;
    let time = |end: u64| {
        let time = end - before;
        before = end;
        time
    };
    ends.chain([last]).map(time).collect()
}

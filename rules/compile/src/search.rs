//! The search for a plan. Levels are growing lists of steps: a level takes all steps of the levels below it first, so its
//! plans include theirs; every plan is judged by the timed simulator on its finished program, and a tie keeps the earlier one.
//! Hence a higher level is never predicted to be worse. Budgets are numbers of plans, never seconds.
//!
//! * O0: every layer by itself, nothing overlaps.
//! * O1: the same with overlap; each layer with its own number of stripes; neighbours merged as long as that helps.
//! * O2: cuts between groups by dynamic programming over all runs of up to [`O2_LAYERS`] layers.
//! * O3: longer runs and more stripes, results that stay in SRAM between groups, and a local search over all of that.
//!
//! The cost of a group by itself is kept in one table by structure (`costs`), so repeated blocks are timed once.

mod costs;
mod divide;
mod local;
mod partition;

use crate::OptimizeLevel;
use crate::allocate::Effort;
use crate::arrange::arrange;
use crate::base::Base;
use crate::division::Followed;
use crate::emit::emit;
use crate::plan::{Form, Group, Plan};
pub use costs::CostTable;
use costs::Costs;
pub use divide::Spread;
use partition::Goal;
use ptq_sim::timing::schedule;
use ptq_sim::{Command, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Longest run of layers that O2 groups.
const O2_LAYERS: usize = 12;

/// Longest run of layers that O3 groups.
const O3_LAYERS: usize = 40;

/// Stripes of groups whose borders may stay in SRAM.
const KEPT_STRIPES: &[u16] = &[1, 2, 4, 8];

/// New groups that each level times for each layer that they end at, in one run of dynamic programming.
const GROUPS: [u64; 4] = [0, 0, 200, 300];

/// Stripes that each level tries.
const STRIPES: [&[u16]; 4] = [&[], &[1, 2, 4], &[1, 2, 4, 8, 16], &[1, 2, 3, 4, 6, 8, 14, 28]];

/// How far loads go ahead, in computing commands, at each level.
const AHEAD: [&[u32]; 4] = [&[], &[2], &[64], &[512]];

/// How hard each level looks for addresses.
const EFFORT: [Effort; 4] = [Effort::First, Effort::First, Effort::Climb, Effort::Exact];

/// What a plan is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompileMode {
    /// Predicted cycles.
    #[default]
    Latency,
    /// Bytes from and to DDR, then cycles.
    Bandwidth,
    /// `factor` parts of cycles and `100 - factor` parts of bytes, each relative to the best plan's.
    Balance(u8),
}

/// What to search.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Search {
    /// How far.
    pub level: OptimizeLevel,
    /// For what.
    pub mode: CompileMode,
    /// Over how many cores and function calls the plan is spread.
    pub spread: Spread,
    /// What to leave out, for measuring what each part of the search is worth. A build leaves out nothing.
    pub without: Without,
}

/// Parts of the search that can be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// Groups of more than one layer.
    pub groups: bool,
    /// More than one stripe.
    pub stripes: bool,
    /// Rows that stay for the next stripe.
    pub rows: bool,
    /// Weights that are loaded again for each stripe.
    pub streams: bool,
    /// Loads ahead of their use.
    pub ahead: bool,
    /// Results that stay in SRAM between groups.
    pub kept: bool,
    /// Small changes of the best plan.
    pub local: bool,
    /// Addresses by more than first fit.
    pub addresses: bool,
}

/// What a search did, for reports and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Predicted cycles of the program that was chosen.
    pub cycles: u64,
    /// Its bytes from and to DDR.
    pub ddr_bytes: u64,
    /// Fewest cycles of any plan that was judged, and fewest bytes: what `balance` measures against.
    pub least_cycles: u64,
    /// Fewest bytes of any plan that was judged.
    pub least_bytes: u64,
    /// Different plans that were judged: whole programs and single groups.
    pub evaluated: u64,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Report) {
        self.cycles += other.cycles;
        self.ddr_bytes += other.ddr_bytes;
        self.least_cycles += other.least_cycles;
        self.least_bytes += other.least_bytes;
        self.evaluated += other.evaluated;
    }
}

/// The program that was chosen.
pub(crate) struct Found {
    pub(crate) commands: Vec<Record>,
    /// Where function calls begin behind the first.
    pub(crate) calls: Vec<u32>,
    pub(crate) followed: Followed,
    pub(crate) report: Report,
}

/// Cycles and DDR bytes of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) cycles: u64,
    pub(crate) bytes: u64,
}

impl Search {
    /// The best program of this level.
    pub(crate) fn best(&self, base: &Base<'_>, table: Option<&Mutex<CostTable>>) -> Found {
        let mut judge = Judge::new(base, self, table);
        let mut bests = vec![judge.best().0];
        for level in 1..=self.level as usize {
            judge.level(level);
            let best = judge.best().0;
            if !bests.contains(&best) {
                bests.push(best);
            }
        }
        judge.finish(&bests, self.spread)
    }

    /// The program of a plan that is given, without a search.
    ///
    /// # Errors
    /// Why the plan does not fit.
    pub(crate) fn follow(base: &Base<'_>, followed: &Followed) -> Result<Found, String> {
        followed.fits(base)?;
        let settled = followed.clone().settled(base);
        let program = settled.program(base);
        let (commands, calls) = program.ok_or("its groups need more memory than the target has, or cannot be fused")?;
        let cost = measure(&commands, base);
        let report = Report {
            cycles: cost.cycles,
            ddr_bytes: cost.bytes,
            least_cycles: cost.cycles,
            least_bytes: cost.bytes,
            evaluated: 1,
        };
        Ok(Found { commands, calls, followed: settled, report })
    }
}

/// Judges plans and remembers all.
pub(crate) struct Judge<'b, 'a> {
    base: &'b Base<'a>,
    mode: CompileMode,
    without: Without,
    /// Whole plans in the order in which they were first judged; `None` where one cannot be followed.
    seen: BTreeMap<Plan, Option<Cost>>,
    order: Vec<Plan>,
    costs: Costs<'b>,
    /// How hard addresses are looked for; grows with the level.
    effort: Effort,
}

impl<'b, 'a> Judge<'b, 'a> {
    fn new(base: &'b Base<'a>, search: &Search, table: Option<&'b Mutex<CostTable>>) -> Judge<'b, 'a> {
        let mut judge = Judge {
            base,
            mode: search.mode,
            without: search.without,
            seen: BTreeMap::new(),
            order: Vec::new(),
            costs: Costs::new(table),
            effort: Effort::First,
        };
        judge.judge(&Plan::serial(base.nodes.len()));
        judge
    }

    /// The program of a plan.
    fn program(&self, plan: &Plan) -> Option<Vec<Record>> {
        match plan.ahead {
            None => Some(self.base.serial()),
            Some(ahead) => {
                let flow = emit(self.base, plan)?;
                Some(self.base.program(&arrange(&flow, self.base.target, ahead as usize, self.effort)?))
            }
        }
    }

    /// The cost of a plan; `None` when it cannot be followed.
    pub(crate) fn judge(&mut self, plan: &Plan) -> Option<Cost> {
        if let Some(&known) = self.seen.get(plan) {
            return known;
        }
        let cost = self.program(plan).map(|commands| measure(&commands, self.base));
        self.seen.insert(plan.clone(), cost);
        self.order.push(plan.clone());
        cost
    }

    /// Smallest cycles and smallest bytes of all plans so far.
    fn bests(&self) -> Cost {
        let costs = || self.seen.values().flatten();
        Cost {
            cycles: costs().map(|c| c.cycles).min().unwrap_or(0).max(1),
            bytes: costs().map(|c| c.bytes).min().unwrap_or(0).max(1),
        }
    }

    /// What a plan is worth; less is better. The second number decides between equals.
    fn worth(&self, cost: Cost, bests: Cost) -> (u128, u64) {
        match self.mode {
            CompileMode::Latency => (cost.cycles.into(), cost.bytes),
            CompileMode::Bandwidth => (cost.bytes.into(), cost.cycles),
            CompileMode::Balance(factor) => {
                let factor = u128::from(factor.min(100));
                let cycles = factor * u128::from(cost.cycles) * u128::from(bests.bytes);
                let bytes = (100 - factor) * u128::from(cost.bytes) * u128::from(bests.cycles);
                (cycles + bytes, cost.cycles)
            }
        }
    }

    /// The best plan so far; the first of equals.
    pub(crate) fn best(&self) -> (Plan, Cost) {
        let bests = self.bests();
        let judged = self.order.iter().filter_map(|p| self.seen[p].map(|c| (p, c)));
        let best = judged.min_by_key(|(_, c)| self.worth(*c, bests));
        best.map_or_else(
            || (Plan::serial(self.base.nodes.len()), Cost { cycles: 0, bytes: 0 }),
            |(plan, cost)| (plan.clone(), cost),
        )
    }

    /// Whether the first cost is better than the second.
    pub(crate) fn better(&self, a: Cost, b: Cost) -> bool {
        let bests = self.bests();
        self.worth(a, bests) < self.worth(b, bests)
    }

    /// The steps that a level adds to the one below.
    fn level(&mut self, level: usize) {
        let (stripes, ahead) = (STRIPES[level], AHEAD[level]);
        let (stripes, ahead) = if self.without.stripes { (&[1u16][..], ahead) } else { (stripes, ahead) };
        let ahead = if self.without.ahead { &[0u32][..] } else { ahead };
        self.effort = if self.without.addresses { Effort::First } else { EFFORT[level] };
        match level {
            1 => {
                let singles = self.singles(stripes);
                ahead.iter().for_each(|&a| self.layered(a));
                self.try_with(&singles, ahead);
                let merged = self.merged(stripes);
                self.try_with(&merged, ahead);
            }
            _ => {
                let longest = if level == 2 { O2_LAYERS } else { O3_LAYERS };
                let best = self.best().0;
                self.try_with(&best.groups, ahead);
                for goal in partition::GOALS {
                    let (groups, _) = self.partition(longest, stripes, goal, false, GROUPS[level]);
                    self.try_with(&groups, ahead);
                }
                if level == 3 {
                    if !self.without.kept {
                        let few = if self.without.stripes { stripes } else { KEPT_STRIPES };
                        for goal in [Goal::Time, Goal::Both] {
                            let (groups, kept) = self.partition(O2_LAYERS, few, goal, true, GROUPS[level]);
                            self.try_kept(groups, kept, ahead);
                        }
                    }
                    self.local(stripes, ahead);
                }
            }
        }
    }

    /// Judges these groups at every distance.
    fn try_with(&mut self, groups: &[Group], ahead: &[u32]) {
        for &a in ahead {
            self.judge(&Plan { groups: groups.to_vec(), kept: Vec::new(), ahead: Some(a) });
        }
    }

    /// Judges these groups with results that stay; where there is no room for all, for fewer and fewer of them.
    fn try_kept(&mut self, groups: Vec<Group>, mut kept: Vec<u32>, ahead: &[u32]) {
        let fused: Vec<bool> = groups.iter().flat_map(|g| vec![g.form != Form::Layer; g.layers as usize]).collect();
        kept.retain(|&k| self.base.readers(k as usize).iter().all(|&r| fused[r]));
        for &a in ahead {
            while !kept.is_empty() {
                let plan = Plan { groups: groups.clone(), kept: kept.clone(), ahead: Some(a) };
                if self.judge(&plan).is_some() {
                    break;
                }
                // The largest one leaves.
                let bytes = |&(_, &k): &(usize, &u32)| self.base.result_bytes(k as usize);
                let largest = kept.iter().enumerate().max_by_key(bytes).map_or(0, |(i, _)| i);
                kept.remove(largest);
            }
        }
    }

    /// Judges the first tilings with overlap.
    fn layered(&mut self, ahead: u32) {
        let plan = Plan { ahead: Some(ahead), ..Plan::serial(self.base.nodes.len()) };
        self.judge(&plan);
    }

    fn finish(self, bests: &[Plan], spread: Spread) -> Found {
        self.costs.keep();
        let mut evaluated = self.seen.len() as u64 + self.costs.evaluated();
        if spread.cores > 1 || spread.call_us > 0 {
            let (divided, judged) = self.divided(bests, spread);
            evaluated += judged;
            if let Some(d) = divided {
                let least = self.bests();
                let report = Report {
                    cycles: d.cost.cycles,
                    ddr_bytes: d.cost.bytes,
                    least_cycles: least.cycles.min(d.cost.cycles),
                    least_bytes: least.bytes.min(d.cost.bytes),
                    evaluated,
                };
                return Found { commands: d.commands, calls: d.calls, followed: d.followed, report };
            }
        }
        let (plan, cost) = self.best();
        let commands = self.program(&plan).unwrap_or_else(|| self.base.serial());
        let Cost { cycles: least_cycles, bytes: least_bytes } = self.bests();
        let report = Report { cycles: cost.cycles, ddr_bytes: cost.bytes, least_cycles, least_bytes, evaluated };
        Found { commands, calls: Vec::new(), followed: Followed::whole(plan), report }
    }
}

/// The cost of a program.
pub(crate) fn measure(commands: &[Record], base: &Base<'_>) -> Cost {
    let cycles = schedule(commands, base.hardware).iter().map(|s| s.end).max().unwrap_or(0);
    let bytes = commands.iter().map(|r| match &r.command {
        Command::Load(t) | Command::Store(t) => t.total_bytes(),
        _ => 0,
    });
    Cost { cycles, bytes: bytes.sum() }
}

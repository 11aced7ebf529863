//! Runs the rules until none fires. Called by [`crate::FuseRule`] and by tests.

use crate::graph_rule::{Phase, Rule};
use crate::links::Links;
use crate::registry::{RULES, is_on_request};
use crate::rewrite;
use crate::{FuseLog, FuseParams};
use ptq_ir::{Diagnostic, Graph, NodeId};
use ptq_rule::{Failure, Outcome, Skip};
use std::collections::BTreeMap;

/// Rounds after which the graph is taken as it is. Each state is a correct graph, so stopping is safe; real models
/// settle in less than ten rounds.
const MAX_ROUNDS: usize = 64;

/// Rewrites the graph with every rule, in the order of [`crate::rules()`], until no rule fires; then renumbers it. The
/// rules of a phase wait for those of earlier ones.
///
/// # Errors
/// When the graph that comes in, or one that a rule made (a bug of ours, the rule is named), breaks an invariant.
pub fn fuse(graph: &mut Graph) -> Result<FuseLog, Failure> {
    fuse_with(graph, &FuseParams::default())
}

/// [`fuse`] with rewrites of a manifest, by name, with built-in rules that run only on request, and without some of the others.
///
/// # Errors
/// As [`fuse`]; when a rewrite does not come to an end (`FUSE92`).
pub fn fuse_with(graph: &mut Graph, params: &FuseParams) -> Result<FuseLog, Failure> {
    check(graph, None)?;
    let own = rewrite::in_order(&params.rewrites);
    let asked = |code: &str| !is_on_request(code) || params.with.contains(code);
    let ours = RULES.iter().filter(|r| asked(r.meta.code) && !params.without.contains(r.meta.code));
    let rules = own.iter().map(|r| r as &dyn Rule).chain(ours.map(|r| r as &dyn Rule)).collect();
    // A rewrite that fires more often than there were nodes makes its own work.
    let most = graph.nodes.len() + 16;
    let mut run = Run { rules, most, fired: BTreeMap::new(), skipped: BTreeMap::new() };
    let mut rounds = 0;
    while rounds < MAX_ROUNDS && run.round(graph)? {
        rounds += 1;
    }
    graph.compact();
    Ok(run.into_log())
}

struct Run<'a> {
    rules: Vec<&'a dyn Rule>,
    /// Most firings of one rewrite.
    most: usize,
    fired: BTreeMap<String, usize>,
    /// Reason by (code, node).
    skipped: BTreeMap<(&'a str, String), String>,
}

impl<'a> Run<'a> {
    /// Asks the rules of each phase until those of one have changed something. Gives whether any have.
    fn round(&mut self, graph: &mut Graph) -> Result<bool, Failure> {
        for phase in [Phase::First, Phase::Simplify, Phase::Convert, Phase::Last, Phase::Hide] {
            let mut changed = false;
            for rule in self.rules.clone().into_iter().filter(|r| r.phase() == phase) {
                changed |= self.sweep(rule, graph)?;
            }
            if changed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Asks one rule about every node in order. After a change the same position is asked again, because the node
    /// there is another one or has new neighbours; the number of changes is bounded.
    fn sweep(&mut self, rule: &'a dyn Rule, graph: &mut Graph) -> Result<bool, Failure> {
        let mut links = Links::of(graph);
        let mut budget = 2 * graph.nodes.len() + 16;
        let mut changed = false;
        let mut i = 0;
        while i < graph.nodes.len() {
            let id = NodeId(i as u32);
            if budget == 0 || !rule.matches(graph, &links, id) {
                i += 1;
                continue;
            }
            let place = (rule.code(), graph.node(id).name.clone());
            match rule.rewrite(graph, &links, id) {
                Outcome::Fired => {
                    check(graph, Some(rule))?;
                    let fired = self.fired.entry(rule.code().to_owned()).or_default();
                    *fired += 1;
                    if !rule.is_ours() && *fired > self.most {
                        return Err(endless(rule, *fired));
                    }
                    self.skipped.remove(&place);
                    links = Links::of(graph);
                    budget -= 1;
                    changed = true;
                }
                Outcome::Skipped(reason) => {
                    self.skipped.insert(place, reason);
                    i += 1;
                }
            }
        }
        Ok(changed)
    }

    fn into_log(self) -> FuseLog {
        let skipped = self
            .skipped
            .into_iter()
            .map(|((code, node), reason)| Skip { code: code.to_owned(), node, reason })
            .collect();
        FuseLog { fired: self.fired, skipped }
    }
}

fn check(graph: &Graph, after: Option<&dyn Rule>) -> Result<(), Failure> {
    let mut problems = graph.verify();
    if problems.is_empty() {
        return Ok(());
    }
    let message = match after {
        Some(rule) if rule.is_ours() => {
            format!("rule {} ({}) made an invalid graph; this is a bug of ptq", rule.code(), rule.name())
        }
        Some(rule) => format!("rewrite {} made an invalid graph", rule.name()),
        None => "the graph to fuse is invalid".to_owned(),
    };
    problems.insert(0, Diagnostic::error("FUSE90", message));
    Err(problems.into())
}

fn endless(rule: &dyn Rule, fired: usize) -> Failure {
    let message = format!("rewrite {} does not come to an end: it fired {fired} times", rule.name());
    let hint = "its pattern fits what it makes, or a built-in rule undoes it: add a guard, or choose another `when`";
    Diagnostic::error("FUSE92", message).hint(hint).into()
}

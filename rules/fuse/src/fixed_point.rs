//! Runs the rules until none fires. Called by [`crate::FuseRule`] and by tests.

use crate::FuseLog;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::registry::RULES;
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
    check(graph, None)?;
    let mut run = Run { fired: BTreeMap::new(), skipped: BTreeMap::new() };
    let mut rounds = 0;
    while rounds < MAX_ROUNDS && run.round(graph)? {
        rounds += 1;
    }
    graph.compact();
    Ok(run.into_log())
}

struct Run {
    fired: BTreeMap<String, usize>,
    /// Reason by (code, node).
    skipped: BTreeMap<(&'static str, String), String>,
}

impl Run {
    /// Asks the rules of each phase until those of one have changed something. Gives whether any have.
    fn round(&mut self, graph: &mut Graph) -> Result<bool, Failure> {
        for phase in [Phase::Simplify, Phase::Convert, Phase::Hide] {
            let mut changed = false;
            for rule in RULES.iter().filter(|r| r.phase == phase) {
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
    fn sweep(&mut self, rule: &GraphRule, graph: &mut Graph) -> Result<bool, Failure> {
        let mut links = Links::of(graph);
        let mut budget = 2 * graph.nodes.len() + 16;
        let mut changed = false;
        let mut i = 0;
        while i < graph.nodes.len() {
            let id = NodeId(i as u32);
            if budget == 0 || !(rule.matches)(graph, &links, id) {
                i += 1;
                continue;
            }
            let place = (rule.meta.code, graph.node(id).name.clone());
            match (rule.rewrite)(graph, &links, id) {
                Outcome::Fired => {
                    check(graph, Some(rule))?;
                    *self.fired.entry(rule.meta.code.to_owned()).or_default() += 1;
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

fn check(graph: &Graph, after: Option<&GraphRule>) -> Result<(), Failure> {
    let mut problems = graph.verify();
    if problems.is_empty() {
        return Ok(());
    }
    let message = match after {
        Some(rule) => {
            format!("rule {} ({}) made an invalid graph; this is a bug of ptq", rule.meta.code, rule.meta.name)
        }
        None => "the graph to fuse is invalid".to_owned(),
    };
    problems.insert(0, Diagnostic::error("FUSE90", message));
    Err(problems.into())
}

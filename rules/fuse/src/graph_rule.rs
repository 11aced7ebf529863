//! The form of a fuse rule: metadata, a matcher, a guarded rewrite. Made by each file under `rules/`, run by
//! `fixed_point`.

use crate::links::Links;
use ptq_ir::{Graph, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// A rule is asked once no rule of an earlier phase has anything more to do; when it fires, those are asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Folds, merges, removes.
    Simplify,
    /// Gives a node another form, which takes it from rules that would have folded it.
    Convert,
    /// Outlines and marks, which hides nodes from all other rules.
    Hide,
}

/// One fuse rule.
#[derive(Clone, Copy)]
pub(crate) struct GraphRule {
    /// What `ptq rule CODE` prints.
    pub(crate) meta: GraphRuleMeta,
    /// Whether the rule has something to say about this node. A node that does not match leaves no trace.
    pub(crate) matches: fn(&Graph, &Links, NodeId) -> bool,
    /// Changes the graph, or says why not. A skip leaves the graph as it was.
    pub(crate) rewrite: fn(&mut Graph, &Links, NodeId) -> Outcome,
    /// When it is asked.
    pub(crate) phase: Phase,
}

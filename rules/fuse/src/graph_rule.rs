//! The form of a fuse rule: metadata, a matcher, a guarded rewrite. Made by each file under `rules/`, run by
//! `fixed_point`.

use crate::links::Links;
use ptq_ir::{Graph, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `fixed_point` asks: one of ours, or a rewrite of the manifest.
pub(crate) trait Rule {
    /// Code, as logs give it.
    fn code(&self) -> &str;
    /// Name.
    fn name(&self) -> &str;
    /// When it is asked.
    fn phase(&self) -> Phase;
    /// Whether an invalid graph behind it is a bug of ours.
    fn is_ours(&self) -> bool;
    /// Whether the rule has something to say about this node. A node that does not match leaves no trace.
    fn matches(&self, graph: &Graph, links: &Links, id: NodeId) -> bool;
    /// Changes the graph, or says why not. A skip leaves the graph as it was.
    fn rewrite(&self, graph: &mut Graph, links: &Links, id: NodeId) -> Outcome;
}

/// A rule is asked once no rule of an earlier phase has anything more to do; when it fires, those are asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Rewrites of the manifest that see the graph as parse gives it.
    First,
    /// Folds, merges, removes.
    Simplify,
    /// Gives a node another form, which takes it from rules that would have folded it.
    Convert,
    /// Rewrites of the manifest that see what the rules above made.
    Last,
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

impl Rule for GraphRule {
    fn code(&self) -> &str {
        self.meta.code
    }

    fn name(&self) -> &str {
        self.meta.name
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn matches(&self, graph: &Graph, links: &Links, id: NodeId) -> bool {
        (self.matches)(graph, links, id)
    }

    fn rewrite(&self, graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
        (self.rewrite)(graph, links, id)
    }
}

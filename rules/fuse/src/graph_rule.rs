//! The form of a fuse rule: metadata, a matcher, a guarded rewrite. Made by each file under `rules/`, run by
//! `fixed_point`.

use crate::links::Links;
use ptq_ir::{Graph, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// One fuse rule.
#[derive(Clone, Copy)]
pub(crate) struct GraphRule {
    /// What `ptq rule CODE` prints.
    pub(crate) meta: GraphRuleMeta,
    /// Whether the rule has something to say about this node. A node that does not match leaves no trace.
    pub(crate) matches: fn(&Graph, &Links, NodeId) -> bool,
    /// Changes the graph, or says why not. A skip leaves the graph as it was.
    pub(crate) rewrite: fn(&mut Graph, &Links, NodeId) -> Outcome,
    /// Whether it waits until the other rules have nothing more to do: it hides nodes from them.
    pub(crate) late: bool,
}

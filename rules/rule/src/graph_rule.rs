//! Graph rules: metadata and outcomes of single rewrites and placement decisions.

use serde::{Deserialize, Serialize};

/// What a reader of `ptq rule CODE` wants to know. Each rule is one file with one such constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphRuleMeta {
    /// Stable code, such as `FUSE02`.
    pub code: &'static str,
    /// kebab-case name, such as `fold-batch-normalization`.
    pub name: &'static str,
    /// One sentence: what it does.
    pub summary: &'static str,
    /// Why it is right, and why it is done.
    pub why: &'static str,
    /// Before and after, in the graph's text form.
    pub example: &'static str,
    /// Version of `ptq` that introduced it.
    pub since: &'static str,
}

/// What happened when a rule looked at a matching place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The graph was changed.
    Fired,
    /// It was not, for this reason; kept, because it answers "why not?".
    Skipped(String),
}

/// A kept reason: rule, node, why the rule did not fire there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// Code of the rule.
    pub code: String,
    /// Node at which it matched.
    pub node: String,
    /// Why it did not fire.
    pub reason: String,
}

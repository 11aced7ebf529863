//! What a rule is: the declared, pure functions that a build is made of.
//!
//! Two kinds. A *build rule* ([`BuildRule`]) maps named blobs to named blobs; the engine names each run by the hash
//! of exactly what the rule can see and memoizes it. A *graph rule* ([`GraphRuleMeta`], [`Outcome`]) is one
//! fusion, replacement or placement decision inside a stage. No clock, no environment, no network, no engine types.
//! Called by every stage crate; run by `ptq-engine`, by tests, and by remote workers alike.

mod build_rule;
mod graph_blobs;
mod graph_rule;
mod shelf;

pub use build_rule::{
    ActionRequest, Blobs, BuildRule, Context, Failure, InputRef, Inputs, Memo, Progress, Silent, Step, Tables,
};
pub use graph_blobs::{GRAPH, QGRAPH, TENSOR_PREFIX, put_graph, put_qgraph, read_graph, read_qgraph};
pub use graph_rule::{GraphRuleMeta, Outcome, Skip};
pub use shelf::Shelf;

/// Version of the meaning of everything that rules share (graph encoding, arithmetic, decoding of samples). Part of every
/// action key: a change that alters any output without a new version of its rule needs a higher number here.
pub const SEMANTICS: u32 = 5;

//! When rules run: manifest → variants → queries → plan → execute → explain.
//!
//! Entry point: [`Project`]. What a stage computes is the business of the crates under `rules/`; bytes are kept by
//! `ptq-cache`; nothing here prints. All use of salsa is in `queries/`.

mod action;
mod analyze;
mod artifacts;
mod attempt;
mod build;
#[cfg(feature = "remote")]
mod cluster;
mod command;
mod compare;
mod custom;
mod declare;
mod error;
mod evaluate;
mod events;
mod executor;
mod external;
mod fingerprint;
mod finish;
mod gate;
mod graph;
mod history;
pub mod import;
pub mod init;
mod isolated;
mod latency;
pub mod manifest;
mod materialize;
mod paths;
mod permits;
mod project;
mod queries;
mod queue;
mod recipe;
mod registry;
mod rewritten;
mod sandbox;
mod session;
#[cfg(feature = "remote")]
mod share;
mod sources;
mod stage;
mod stamp;
mod tables;
#[cfg(feature = "remote")]
mod tier;
#[cfg(not(feature = "remote"))]
#[path = "no_tier.rs"]
mod tier;
mod tools;
pub mod watch;
mod worker;

pub use action::{ActionInput, ActionSpec, InputKind, RULES_SOURCES};
pub use analyze::Analyzed;
pub use artifacts::FILES;
pub use attempt::{Told, up_to_date};
pub use build::{BuildOptions, BuildReport, Cancel, Outcome, StageName, VariantReport, Work};
pub use compare::{Compared, Comparison};
pub use error::EngineError;
pub use events::{Event, EventSink, NoEvents, RemoteRun};
pub use graph::{ActionGraph, GraphNode};
pub use history::LogEntry;
pub use paths::external_file;
pub use project::{Loaded, Project};
pub use recipe::{Recipe, StageRecord};
pub use registry::{Registry, rules};
pub use rewritten::Rewritten;
pub use worker::{WorkerEnd, WorkerError, exec_stage};

//! When rules run: manifest → variants → queries → plan → execute → explain.
//!
//! Entry point: [`Project`]. What a stage computes is the business of the crates under `rules/`; bytes are kept by
//! `ptq-cache`; nothing here prints. All use of salsa is in `queries/`.

mod action;
mod artifacts;
mod attempt;
mod build;
mod command;
mod compare;
mod error;
mod evaluate;
mod events;
mod executor;
mod external;
mod finish;
mod gate;
mod graph;
mod history;
pub mod import;
pub mod init;
pub mod manifest;
mod materialize;
mod paths;
mod project;
mod queries;
mod recipe;
mod registry;
mod sandbox;
mod session;
mod sources;
mod stage;
mod stamp;
mod tools;
pub mod watch;

pub use action::{ActionInput, ActionSpec, InputKind, RULES_SOURCES};
pub use artifacts::FILES;
pub use attempt::is_up_to_date;
pub use build::{BuildOptions, BuildReport, Outcome, StageName, VariantReport, Work};
pub use compare::{Compared, Comparison};
pub use error::EngineError;
pub use events::{Event, EventSink, NoEvents};
pub use graph::{ActionGraph, GraphNode};
pub use history::LogEntry;
pub use paths::external_file;
pub use project::{Loaded, Project};
pub use recipe::{Recipe, StageRecord};
pub use registry::{Registry, rules};

//! The actions behind variants as a graph: what shares what, and what is there. Rendered by `render.rs`.

mod render;

use crate::build::BuildOptions;
use crate::error::EngineError;
use crate::events::NoEvents;
use crate::project::Project;
use crate::queries::{ActionState, StageState};
use crate::session::Session;
use crate::sources::scan;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One action, or a stage of one variant whose action is not known yet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphNode {
    /// First digits of the action's key, or `VARIANT:STAGE` where its inputs are still missing.
    pub id: String,
    /// Stage.
    pub stage: &'static str,
    /// `done`, `missing` (would run), `waiting` (for inputs), or `failed`.
    pub state: &'static str,
    /// Variants that want it.
    pub variants: Vec<String>,
}

/// Actions and which results they read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ActionGraph {
    /// Actions in the order in which data flows.
    pub nodes: Vec<GraphNode>,
    /// From an action to one that reads its result, by id.
    pub edges: BTreeSet<(String, String)>,
}

/// Which stages a stage reads.
fn reads(stage: &str) -> &'static [&'static str] {
    match stage {
        "fuse" => &["parse"],
        "calibrate" => &["fuse"],
        "partition" => &["fuse", "calibrate"],
        "compile" => &["partition"],
        "measure" => &["fuse", "calibrate", "partition"],
        _ => &[],
    }
}

impl Project {
    /// The actions of the selected variants as they stand; runs nothing.
    ///
    /// # Errors
    /// A selector that chooses nothing, or a store that does not work.
    pub fn graph(&self, selectors: &[String]) -> Result<ActionGraph, EngineError> {
        let names = self.select(selectors)?;
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), BTreeSet::new()));
        let options = BuildOptions::default();
        let driver = self.driver(&session, &scan, &options, &names, &NoEvents);
        let mut nodes: BTreeMap<(usize, String), GraphNode> = BTreeMap::new();
        let mut edges = BTreeSet::new();
        for name in &names {
            let mut ids: BTreeMap<&str, String> = BTreeMap::new();
            for (order, (stage, state)) in driver.stages(name).into_iter().enumerate() {
                let (id, state) = match state {
                    StageState::Ready { spec, state } => (spec.key().short(), word(state)),
                    StageState::Blocked => (format!("{name}:{stage}"), "waiting"),
                };
                edges.extend(reads(stage).iter().filter_map(|from| Some((ids.get(from)?.clone(), id.clone()))));
                ids.insert(stage, id.clone());
                let node = GraphNode { id: id.clone(), stage, state, variants: Vec::new() };
                nodes.entry((order, id)).or_insert(node).variants.push(name.clone());
            }
        }
        Ok(ActionGraph { nodes: nodes.into_values().collect(), edges })
    }
}

fn word(state: ActionState) -> &'static str {
    match state {
        ActionState::Done(_) => "done",
        ActionState::Missing => "missing",
        ActionState::Failed => "failed",
    }
}

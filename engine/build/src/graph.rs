//! The actions behind variants as a graph: what shares what, and what is there. Rendered by `render.rs`.

mod render;

use crate::build::{BuildOptions, STAGES};
use crate::error::EngineError;
use crate::events::NoEvents;
use crate::manifest::{STAGE_PREFIX, staged};
use crate::project::Project;
use crate::queries::{ActionState, StageState};
use crate::session::Session;
use crate::sources::scan;
use crate::stage::{self, Plan};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One action, or a stage of one variant whose action is not known yet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphNode {
    /// First digits of the action's key, or `VARIANT:STAGE` where its inputs are still missing.
    pub id: String,
    /// Stage.
    pub stage: String,
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
            let mut ids: BTreeMap<String, String> = BTreeMap::new();
            let model = self.manifest.variants.get(name).and_then(|v| v.settings.get("path"));
            let model = model.and_then(|s| Some(staged(s.value.as_str()?)?.0));
            for (stage, state) in driver.stages(name) {
                let order = STAGES.iter().position(|s| *s == stage).map_or(0, |at| at + 1);
                let (id, state) = match state {
                    StageState::Ready { spec, state } => (spec.key().short(), word(state)),
                    StageState::Blocked => (format!("{name}:{stage}"), "waiting"),
                };
                let own = stage::name_of(&stage).and_then(|own| scan.stages.get(own));
                let made = own.into_iter().flat_map(Plan::reads).chain(model.filter(|_| stage == "parse"));
                let made = made.map(|stage| format!("{STAGE_PREFIX}{stage}"));
                let from = made.chain(reads(&stage).iter().map(|s| (*s).to_owned()));
                edges.extend(from.filter_map(|from| Some((ids.get(&from)?.clone(), id.clone()))));
                let stage = stage.into_owned();
                ids.insert(stage.clone(), id.clone());
                let node = GraphNode { id: id.clone(), stage, state, variants: Vec::new() };
                nodes.entry((order, format!("{} {id}", node.stage))).or_insert(node).variants.push(name.clone());
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

//! Where a variant loses accuracy, and which settings would help. Called by `ptq analyze`.
//!
//! The analysis is an action like a stage: it reads what the calibrate stage read, and the table that it made. What it asks for is
//! remembered part by part, so that an edit runs again what the edit touches.

use crate::action::{ActionInput, ActionSpec};
use crate::build::BuildOptions;
use crate::error::EngineError;
use crate::events::EventSink;
use crate::executor::internal;
use crate::project::Project;
use crate::queries::StageState;
use crate::session::Session;
use crate::sources::scan;
use ptq_calibrate::{ANALYSIS, Analysis, AnalyzeParams, AnalyzeRule};
use ptq_ir::Diagnostic;
use ptq_rule::{BuildRule, Failure};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An analysis with the names that its advice is written for.
#[derive(Clone, Debug)]
pub struct Analyzed {
    /// Variant.
    pub variant: String,
    /// Its model in the manifest.
    pub model: String,
    /// What was found.
    pub analysis: Analysis,
}

impl Project {
    /// Analyzes a variant, building what is missing; proposals are tried for the `top` costliest nodes.
    ///
    /// # Errors
    /// As [`Project::load`]; when the variant was calibrated without samples.
    pub fn analyze(&self, variant: &str, top: usize, events: &dyn EventSink) -> Result<Analyzed, EngineError> {
        let options = BuildOptions { selectors: vec![variant.to_owned()], ..BuildOptions::default() };
        let names = self.select(&options.selectors)?;
        let [name] = names.as_slice() else {
            let d = Diagnostic::error("SELECT02", format!("{variant} selects {} variants", names.len()));
            return Err(EngineError::Manifest(vec![d.hint("name one variant")]));
        };
        self.built(&options, &names, events)?;
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), BTreeSet::new()));
        let driver = self.driver(&session, &scan, &options, &names, events);
        let stages = driver.stages(name);
        let calibrated = stages.into_iter().find(|(stage, _)| stage == "calibrate").map(|(_, state)| state);
        let found = self.analysis(calibrated.as_ref(), top).and_then(|spec| {
            let tree = driver.executor.run(&spec, name, &[], options.jobs.max(1))?;
            let blobs = driver.executor.load(&tree)?;
            let json = blobs.get(ANALYSIS).ok_or_else(|| internal("an analysis has no result"))?;
            serde_json::from_slice(json).map_err(|e| internal(&e.to_string()))
        });
        self.store.flush()?;
        let analysis = found.map_err(|f: Failure| EngineError::Manifest(f.diagnostics))?;
        let model = self.manifest.variants.get(name).map(|v| v.model.clone()).unwrap_or_default();
        Ok(Analyzed { variant: name.clone(), model, analysis })
    }

    /// The action behind an analysis: the calibrate stage's inputs and parameters, and its table.
    fn analysis(&self, calibrated: Option<&StageState>, top: usize) -> Result<ActionSpec, Failure> {
        let missing = || internal("the result of calibrate is not there");
        let state = calibrated.ok_or_else(missing)?;
        let (StageState::Ready { spec, .. }, Some(tree)) = (state, state.tree()) else { return Err(missing()) };
        let mut inputs = spec.inputs.clone();
        inputs.push(ActionInput::part(&self.store, &tree, "quant").ok_or_else(missing)?);
        let calibrate = serde_json::from_str(&spec.params).map_err(|e| internal(&e.to_string()))?;
        let params = serde_json::to_string(&AnalyzeParams { calibrate, top }).map_err(|e| internal(&e.to_string()))?;
        Ok(ActionSpec { rule: AnalyzeRule.name().to_owned(), version: AnalyzeRule.version(), params, inputs })
    }
}

//! The stages of one variant, in the order in which data flows: each names its action from its settings and from
//! the trees of the stages before it.

use super::{ActionId, ActionState, Db, ManifestInput, Sources, VariantName, action, variant};
use crate::action::{ActionInput, ActionSpec};
use crate::manifest::{VariantConfig, staged};
use crate::sources::{external_names, march_key, placing_key, sample_key};
use ptq_cache::Digest;
use ptq_ir::ops::CustomOp;
use ptq_rule::BuildRule;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A stage of a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StageState {
    /// A stage or file before it is not there.
    Blocked,
    /// Its action, and what is known of it.
    Ready {
        /// The action.
        spec: Arc<ActionSpec>,
        /// What is known.
        state: ActionState,
    },
}

impl StageState {
    /// The tree, when done.
    pub(crate) fn tree(&self) -> Option<Digest> {
        match self {
            StageState::Ready { state: ActionState::Done(tree), .. } => Some(*tree),
            _ => None,
        }
    }
}

/// Asks for the action of a rule with these parameters and inputs; blocked when an input is not there.
fn ask<P: Serialize>(db: &dyn Db, rule: &dyn BuildRule, params: &P, inputs: Option<Vec<ActionInput>>) -> StageState {
    let (Some(inputs), Ok(params)) = (inputs, serde_json::to_string(params)) else { return StageState::Blocked };
    let spec = Arc::new(ActionSpec { rule: rule.name().to_owned(), version: rule.version(), params, inputs });
    let state = action(db, ActionId::new(db, spec.clone()));
    StageState::Ready { spec, state }
}

/// A file of the manifest's folder, or of an external stage.
fn file(db: &dyn Db, path: &str) -> Option<Digest> {
    if let Some((name, file)) = staged(path) {
        return made(db, name, file);
    }
    Sources::get(db).files(db).get(path)?.digest(db)
}

fn part(db: &dyn Db, tree: Digest, name: &str) -> Option<ActionInput> {
    ActionInput::part(&db.session().store, &tree, name)
}

/// A file that an external stage has made.
fn made(db: &dyn Db, stage: &str, file: &str) -> Option<Digest> {
    let tree = external(db, VariantName::new(db, stage.to_owned())).tree()?;
    Some(part(db, tree, file)?.digest)
}

/// An external stage. Reads: its declared files and files of other stages, its plan.
#[salsa::tracked(returns(ref))]
pub(crate) fn external<'db>(db: &'db dyn Db, name: VariantName<'db>) -> StageState {
    let plan = Sources::get(db).stages(db).get(name.name(db));
    let spec = plan.and_then(|plan| plan.action(name.name(db), |stage, file| made(db, stage, file)));
    match spec.map(Arc::new) {
        Some(spec) => StageState::Ready { state: action(db, ActionId::new(db, spec.clone())), spec },
        None => StageState::Blocked,
    }
}

/// The parse stage. Reads: the ONNX file and its external data (files, or made by a stage), declarations and programs of the custom
/// operators that it uses, `input.*`, `memory_budget`, `quantized`.
#[salsa::tracked(returns(ref))]
pub(crate) fn parse<'db>(db: &'db dyn Db, m: ManifestInput, v: VariantName<'db>) -> StageState {
    let Some(config) = variant(db, m, v) else { return StageState::Blocked };
    let mut params = config.parse_params();
    let declared = file(db, &config.path).map(|model| customs(db, config, &model));
    let Some(Some(custom)) = declared else { return StageState::Blocked };
    params.custom = custom;
    let inputs = || {
        let model = file(db, &config.path)?;
        let mut inputs = vec![ActionInput::blob("model", model)];
        inputs.extend(made_data(db, &config.path, &model));
        for (stated, path) in Sources::get(db).external(db).get(&config.path).into_iter().flatten() {
            inputs.push(ActionInput::blob(&format!("{}{stated}", ptq_parse::EXTERNAL), file(db, path)?));
        }
        Some(inputs)
    };
    ask(db, &ptq_parse::ParseRule, &params, inputs())
}

/// Declarations of the custom operators that a model uses; `None` while one has no program.
fn customs(db: &dyn Db, config: &VariantConfig, model: &Digest) -> Option<BTreeMap<String, CustomOp>> {
    if config.customs.is_empty() {
        return Some(BTreeMap::new());
    }
    let store = &db.session().store;
    let used = crate::custom::used_by(model, store, || store.get(model));
    let known = Sources::get(db).customs(db);
    let wanted = config.customs.values().map(|c| (format!("{}.{}", c.domain, c.op), &c.name));
    let wanted = wanted.filter(|(op, _)| used.as_ref().is_none_or(|u| u.contains(op)));
    wanted.map(|(op, name)| Some((op, known.get(name)?.clone()))).collect()
}

/// External data of a model that a stage has made, from the same stage. Parse says what is missing.
fn made_data(db: &dyn Db, path: &str, model: &Digest) -> Vec<ActionInput> {
    let Some((stage, file)) = staged(path) else { return Vec::new() };
    let store = &db.session().store;
    let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let names = external_names(model, store, || store.get(model));
    let input = |stated: String| {
        let digest = made(db, stage, &format!("{folder}{stated}"))?;
        Some(ActionInput::blob(&format!("{}{stated}", ptq_parse::EXTERNAL), digest))
    };
    names.into_iter().filter_map(input).collect()
}

fn graph_of(db: &dyn Db, stage: &StageState) -> Option<Vec<ActionInput>> {
    ActionInput::graph(&db.session().store, &stage.tree()?)
}

/// The fuse stage. Reads: parse's graph, `rewrites` and the rewrites that it chooses.
#[salsa::tracked(returns(ref))]
pub(crate) fn fuse<'db>(db: &'db dyn Db, m: ManifestInput, v: VariantName<'db>) -> StageState {
    let Some(config) = variant(db, m, v) else { return StageState::Blocked };
    let inputs = graph_of(db, parse(db, m, v));
    ask(db, &ptq_fuse::FuseRule, &config.fuse_params(), inputs)
}

/// The calibrate stage. Reads: fuse's graph, march without its figures, samples, `input.*`, `calibration.*`, placement requests.
#[salsa::tracked(returns(ref))]
pub(crate) fn calibrate<'db>(db: &'db dyn Db, m: ManifestInput, v: VariantName<'db>) -> StageState {
    let Some(config) = variant(db, m, v) else { return StageState::Blocked };
    let params = ptq_calibrate::CalibrateParams {
        inputs: config.inputs.clone(),
        requests: config.requests.clone(),
        calibration: config.calibration.clone(),
        ..ptq_calibrate::CalibrateParams::default()
    };
    let inputs = || {
        let mut inputs = graph_of(db, fuse(db, m, v))?;
        inputs.push(placing(db, config)?);
        if config.quantized == ptq_parse::Quantized::Keep {
            inputs.push(part(db, parse(db, m, v).tree()?, ptq_parse::GIVEN)?);
        }
        if let Some(path) = &config.thresholds {
            inputs.push(ActionInput::blob(ptq_calibrate::THRESHOLDS, file(db, path)?));
        }
        if let Some(key) = sample_key(config) {
            inputs.push(ActionInput::tree("samples", Sources::get(db).samples(db).get(&key)?.all(db)?));
        }
        Some(inputs)
    };
    ask(db, &ptq_calibrate::CalibrateRule, &params, inputs())
}

/// The march as far as results depend on it.
fn placing(db: &dyn Db, config: &VariantConfig) -> Option<ActionInput> {
    Some(ActionInput::blob("march", file(db, &placing_key(&config.march))?))
}

/// The partition stage. Reads: fuse's graph, calibrate's table, march without its figures, placement requests,
/// `remove_node_type` and `remove_node_name` as far as they are about borders.
#[salsa::tracked(returns(ref))]
pub(crate) fn partition<'db>(db: &'db dyn Db, m: ManifestInput, v: VariantName<'db>) -> StageState {
    let Some(config) = variant(db, m, v) else { return StageState::Blocked };
    let params = ptq_partition::PartitionParams { requests: config.requests.clone(), removal: config.removal() };
    let inputs = || {
        let mut inputs = graph_of(db, fuse(db, m, v))?;
        inputs.push(part(db, calibrate(db, m, v).tree()?, "quant")?);
        inputs.push(placing(db, config)?);
        Some(inputs)
    };
    ask(db, &ptq_partition::PartitionRule, &params, inputs())
}

/// The compile stage. Reads: partition's program, march, `optimize_level`, `compile.*`, `input.*`.
#[salsa::tracked(returns(ref))]
pub(crate) fn compile<'db>(db: &'db dyn Db, m: ManifestInput, v: VariantName<'db>) -> StageState {
    let Some(config) = variant(db, m, v) else { return StageState::Blocked };
    let level = serde_json::from_value(serde_json::Value::String(config.optimize_level.clone()));
    let Ok(optimize_level) = level else { return StageState::Blocked };
    let inputs = || {
        let mut inputs = graph_of(db, partition(db, m, v))?;
        inputs.push(ActionInput::blob("march", file(db, &march_key(&config.march))?));
        if let Some(path) = &config.compile.replay_plan {
            inputs.push(ActionInput::blob(ptq_compile::REPLAY, file(db, path)?));
        }
        Some(inputs)
    };
    let params = ptq_compile::CompileParams {
        optimize_level,
        mode: config.compile.mode,
        core_num: config.compile.core_num,
        max_time_per_fc: config.compile.max_time_per_fc,
        debug: config.compile.debug,
        advice: config.compile.advice,
        inputs: config.inputs.clone(),
    };
    ask(db, &ptq_compile::CompileRule, &params, inputs())
}

/// The measure rule: float against integers on the first sample, for the report. Reads: fuse, calibrate, partition.
#[salsa::tracked(returns(ref))]
pub(crate) fn measure<'db>(db: &'db dyn Db, m: ManifestInput, v: VariantName<'db>) -> StageState {
    let Some(config) = variant(db, m, v) else { return StageState::Blocked };
    let params = ptq_report::MeasureParams { inputs: config.inputs.clone() };
    let inputs = || {
        let partitioned = partition(db, m, v).tree()?;
        let mut inputs = graph_of(db, fuse(db, m, v))?;
        inputs.extend(graph_of(db, partition(db, m, v))?);
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        inputs.dedup();
        inputs.push(part(db, partitioned, "placement.json")?);
        inputs.push(part(db, calibrate(db, m, v).tree()?, "quant")?);
        if let Some(key) = sample_key(config) {
            inputs.push(ActionInput::tree("first sample", Sources::get(db).samples(db).get(&key)?.first(db)?));
        }
        Some(inputs)
    };
    ask(db, &ptq_report::MeasureRule, &params, inputs())
}

//! Compile as a build rule.

use crate::{CompileMode, CostTable, Followed, OptimizeLevel, Options, Search, Spread, compile_with};
use ptq_ir::{Diagnostic, InputSpec};
use ptq_march::March;
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, read_qgraph};
use ptq_sim::artifact::{self, Body, Model, Npu};
use ptq_sim::timing::{Occupied, Timing, losses};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Name of the optional input: a compiled model whose plans are followed.
pub const REPLAY: &str = "replay.bin";

/// What compile reads of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompileParams {
    /// How far to search.
    pub optimize_level: OptimizeLevel,
    /// What plans are judged by.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: CompileMode,
    /// Cores that one run may use.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub core_num: u8,
    /// Longest function call in microseconds; 0 for any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_time_per_fc: u32,
    /// Whether the file keeps names, operators and tiles of layers.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub debug: bool,
    /// Tell of layers that take this many microseconds longer than their bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<f64>,
    /// Descriptions of the model's inputs, which the file repeats for whoever runs it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputSpec>,
}

impl Default for CompileParams {
    fn default() -> CompileParams {
        CompileParams {
            optimize_level: OptimizeLevel::default(),
            mode: CompileMode::default(),
            core_num: 1,
            max_time_per_fc: 0,
            debug: true,
            advice: None,
            inputs: BTreeMap::new(),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> u8 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn is_one(cores: &u8) -> bool {
    *cores == 1
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn is_yes(flag: &bool) -> bool {
    *flag
}

/// The stage. Inputs: `qgraph`, `tensor/*`, `march` (TOML), perhaps [`REPLAY`]. Outputs: `model.bin`, `warnings.json`
/// (diagnostics).
#[derive(Clone, Copy, Debug, Default)]
pub struct CompileRule;

impl BuildRule for CompileRule {
    fn name(&self) -> &'static str {
        "compile"
    }

    fn version(&self) -> u32 {
        5
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: CompileParams = ctx.params()?;
        let graph = read_qgraph(ctx.inputs)?;
        let march_bytes = ctx.input("march")?;
        let text = std::str::from_utf8(&march_bytes)
            .map_err(|e| Failure::from(Diagnostic::error("COMP06", format!("march file: {e}"))))?;
        let march = March::from_toml(text)?;
        let march_hash = *blake3::hash(&march_bytes).as_bytes();
        let spread = Spread { cores: params.core_num, call_us: params.max_time_per_fc };
        let search = Search { level: params.optimize_level, mode: params.mode, spread, ..Search::default() };
        let replay =
            if ctx.inputs.names().iter().any(|n| n == REPLAY) { Some(plans(&ctx.input(REPLAY)?)?) } else { None };
        // O0 and a replay ask for no costs.
        let asks = search.level != OptimizeLevel::O0 && replay.is_none();
        let kept = costs_name(&march).filter(|_| asks);
        let load = || kept.as_ref().and_then(|name| CostTable::from_bytes(&ctx.memo.table(name)?)).unwrap_or_default();
        let costs = Mutex::new(load());
        let known = costs.lock().map_or(0, |c| c.len());
        let options = Options {
            replay: replay.as_deref(),
            without_debug: !params.debug,
            threads: ctx.threads,
            costs: Some(&costs),
        };
        let (mut model, _) = compile_with(&graph, &march, march_hash, &search, &options)?;
        let mut costs = costs.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = kept.as_ref().filter(|_| costs.len() > known) {
            // Another compilation may have kept its own in the meantime.
            costs.merge(load());
            ctx.memo.keep_table(name, costs.to_bytes().into());
        }
        model.input_specs =
            graph.inputs.iter().map(|&id| params.inputs.get(&graph.tensor(id).source).cloned()).collect();
        let mut warnings: Vec<Diagnostic> = params.optimize_level.warning(&march).into_iter().collect();
        warnings.extend(findings(&model, &march, &params));
        let warnings =
            serde_json::to_vec(&warnings).map_err(|e| Failure::from(Diagnostic::error("COMP07", e.to_string())))?;
        let mut out = Blobs::new();
        out.insert("model.bin".into(), artifact::encode(&model).into());
        out.insert("warnings.json".into(), warnings.into());
        Ok(Step::Done(out))
    }
}

/// The name under which costs on this march's hardware are kept; `None` where there is no hardware.
fn costs_name(march: &March) -> Option<String> {
    let hardware = serde_json::to_vec(march.hardware.as_ref()?).ok()?;
    Some(format!("costs-{}", blake3::hash(&hardware).to_hex()))
}

/// The plans of a compiled model, one a program.
fn plans(bin: &[u8]) -> Result<Vec<Followed>, Failure> {
    let failed = |what: String| Failure::from(Diagnostic::error("COMP11", format!("the file to replay: {what}")));
    let model = artifact::decode(bin).map_err(|e| failed(e.to_string()))?;
    let programs = model.segments.iter().filter_map(|s| match &s.body {
        Body::Npu(npu) => Some(npu),
        Body::Float(_) | Body::Int(_) => None,
    });
    let plan = |npu: &Npu| {
        if npu.follows.is_empty() {
            return Err(failed("it holds no plan: an older version wrote it".to_owned()));
        }
        serde_json::from_str(&npu.follows).map_err(|e| failed(format!("its plan does not read: {e}")))
    };
    programs.map(plan).collect()
}

/// Function calls that are too long, and layers that are slower than their bound, where that is asked for.
fn findings(model: &Model, march: &March, params: &CompileParams) -> Vec<Diagnostic> {
    let Some(hardware) = &march.hardware else { return Vec::new() };
    let mut out = Vec::new();
    for segment in &model.segments {
        let Body::Npu(npu) = &segment.body else { continue };
        if params.max_time_per_fc == 0 && params.advice.is_none() {
            continue;
        }
        let timing = Timing::of_segment(model, segment, npu, hardware);
        let us = |cycles: u64| cycles as f64 / f64::from(hardware.clock_mhz);
        let limit = u64::from(params.max_time_per_fc) * u64::from(hardware.clock_mhz);
        if let Some(longest) = timing.calls.iter().max().filter(|&&c| limit > 0 && c > limit) {
            let message = format!(
                "a function call takes {:.0} us, longer than max_time_per_fc {}: it holds one layer, and layers are not cut",
                us(*longest),
                params.max_time_per_fc
            );
            out.push(Diagnostic::warning("COMP08", message).hint("a smaller input, or a higher limit"));
        }
        let Some(least) = params.advice else { continue };
        for ((plan, l), losses) in npu.plan.iter().zip(&timing.layers).zip(losses(&npu.program, hardware)) {
            let (own, bound) = (l.compute.max(l.load + l.store), l.bound.cycles());
            if us(own.saturating_sub(bound)) <= least {
                continue;
            }
            let by = if l.compute >= l.load + l.store { Occupied::Compute } else { Occupied::Ddr };
            // A cause of less than a twentieth explains nothing.
            let why = losses.iter().find(|loss| loss.of == by && loss.cycles * 20.0 >= own as f64);
            let why = why.map_or_else(String::new, |loss| {
                format!(". {}: {:.0}% of this layer's time", loss.what, (loss.cycles / own as f64 * 100.0).min(100.0))
            });
            let message = format!("becomes slow ({:.3} ms -> {:.3} ms){why}", us(bound) / 1e3, us(own) / 1e3);
            out.push(Diagnostic::warning("COMP09", message).node(&plan.node));
        }
    }
    out
}

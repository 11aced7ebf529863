//! Compile as a build rule.

use crate::{CompileMode, OptimizeLevel, Search, compile};
use ptq_ir::{Diagnostic, InputSpec};
use ptq_march::March;
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, read_qgraph};
use ptq_sim::artifact;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What compile reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompileParams {
    /// How far to search.
    pub optimize_level: OptimizeLevel,
    /// What plans are judged by.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: CompileMode,
    /// Descriptions of the model's inputs, which the file repeats for whoever runs it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputSpec>,
}

fn is_default(mode: &CompileMode) -> bool {
    *mode == CompileMode::default()
}

/// The stage. Inputs: `qgraph`, `tensor/*`, `march` (TOML). Outputs: `model.bin`, `warnings.json` (diagnostics).
#[derive(Clone, Copy, Debug, Default)]
pub struct CompileRule;

impl BuildRule for CompileRule {
    fn name(&self) -> &'static str {
        "compile"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: CompileParams = ctx.params()?;
        let graph = read_qgraph(ctx.inputs)?;
        let march_bytes = ctx.input("march")?;
        let text = std::str::from_utf8(&march_bytes)
            .map_err(|e| Failure::from(Diagnostic::error("COMP06", format!("march file: {e}"))))?;
        let march = March::from_toml(text)?;
        let march_hash = *blake3::hash(&march_bytes).as_bytes();
        let (mut model, _) =
            compile(&graph, &march, march_hash, &Search { level: params.optimize_level, mode: params.mode })?;
        model.input_specs =
            graph.inputs.iter().map(|&id| params.inputs.get(&graph.tensor(id).source).cloned()).collect();
        let warnings: Vec<Diagnostic> = params.optimize_level.warning(&march).into_iter().collect();
        let warnings =
            serde_json::to_vec(&warnings).map_err(|e| Failure::from(Diagnostic::error("COMP07", e.to_string())))?;
        let mut out = Blobs::new();
        out.insert("model.bin".into(), artifact::encode(&model).into());
        out.insert("warnings.json".into(), warnings.into());
        Ok(Step::Done(out))
    }
}

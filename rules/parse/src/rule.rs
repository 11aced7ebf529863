//! The build rule.

use crate::{build, freeze, order, preprocess, prune};
use bytes::Bytes;
use ptq_ir::{Diagnostic, Graph, InputSpec};
use ptq_onnx::{Limits, import};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, put_graph};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the blob that holds the ONNX file.
const MODEL: &str = "model";
/// Prefix of blobs that hold external data, by relative path.
const EXTERNAL: &str = "external/";
/// Name of the output blob of notes and warnings.
const WARNINGS: &str = "warnings.json";

/// The slice of the configuration that parse reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParseParams {
    /// Descriptions of the model's inputs, by name.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputSpec>,
}

/// `model`, `external/…` → `graph`, `tensor/…`, `warnings.json`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParseRule;

impl BuildRule for ParseRule {
    fn name(&self) -> &'static str {
        "parse"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: ParseParams = ctx.params()?;
        let external = |path: &str| ctx.inputs.read(&format!("{EXTERNAL}{path}"));
        let (graph, notes) = parse(&ctx.input(MODEL)?, &external, &params)?;
        let mut out = Blobs::new();
        put_graph(&mut out, &graph)?;
        let json = serde_json::to_vec(&notes)
            .map_err(|e| Failure::from(Diagnostic::error("RULE03", format!("warnings do not encode: {e}"))))?;
        out.insert(WARNINGS.to_owned(), json.into());
        Ok(Step::Done(out))
    }
}

/// The whole stage as a function; also returns notes and warnings.
pub(crate) fn parse(
    model: &Bytes,
    external: &dyn Fn(&str) -> Option<Bytes>,
    params: &ParseParams,
) -> Result<(Graph, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut raw = import(model, external, &Limits::default())?;
    let mut notes = std::mem::take(&mut raw.notes);
    let inputs = freeze::freeze(&raw.inputs, &params.inputs, &mut notes)?;
    prune::prune_raw(&mut raw);
    order::sort(&mut raw.nodes)?;
    let mut graph = build::build(raw, &inputs, &mut notes)?;
    prune::prune(&mut graph);
    preprocess::insert(&mut graph, &params.inputs)?;
    graph.compact();
    let problems = graph.verify();
    if problems.is_empty() { Ok((graph, notes)) } else { Err(problems) }
}

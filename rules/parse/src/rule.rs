//! The build rule.

use crate::budget::Budget;
use crate::cut::{self, Cut};
use crate::quantized::{self, Quantized};
use crate::{batch, build, custom, freeze, order, preprocess, prune};
use bytes::Bytes;
use ptq_ir::ops::CustomOp;
use ptq_ir::{Diagnostic, Graph, InputSpec, QuantTable};
use ptq_onnx::{Limits, RawModel, import};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, put_graph};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the blob that holds the ONNX file.
const MODEL: &str = "model";
/// Prefix of blobs that hold external data, by relative path.
pub const EXTERNAL: &str = "external/";
/// Name of the output blob with the scales of a quantized file that are to be kept; other models have none.
pub const GIVEN: &str = "given.json";
/// Name of the output blob of notes and warnings.
const WARNINGS: &str = "warnings.json";

/// The slice of the configuration that parse reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParseParams {
    /// Descriptions of the model's inputs, by name.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputSpec>,
    /// Bytes of memory that the model's constants together, each activation and unrolling may take; unset is
    /// [`ptq_onnx::DEFAULT_BUDGET`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_budget: Option<u64>,
    /// What to do with an already quantized model.
    #[serde(default, skip_serializing_if = "Quantized::is_refuse")]
    pub quantized: Quantized,
    /// Nodes to make outputs, nodes to remove at the ends.
    #[serde(default, skip_serializing_if = "Cut::is_nothing")]
    pub cut: Cut,
    /// Declarations of the custom operators that the model uses, by domain and operator with a dot between.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, CustomOp>,
}

impl ParseParams {
    fn budget(&self) -> usize {
        let bytes = self.memory_budget.map_or(ptq_onnx::DEFAULT_BUDGET, |b| usize::try_from(b).unwrap_or(usize::MAX));
        bytes.min(isize::MAX as usize)
    }
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
        let (graph, notes, given) = parse(&ctx.input(MODEL)?, &external, &params)?;
        let mut out = Blobs::new();
        put_graph(&mut out, &graph)?;
        let encode = |e: serde_json::Error| Failure::from(Diagnostic::error("RULE03", format!("does not encode: {e}")));
        let json = serde_json::to_vec(&notes).map_err(encode)?;
        if params.quantized == Quantized::Keep {
            out.insert(GIVEN.to_owned(), serde_json::to_vec(&given).map_err(encode)?.into());
        }
        out.insert(WARNINGS.to_owned(), json.into());
        Ok(Step::Done(out))
    }
}

/// The whole stage as a function; also returns notes and warnings, and the scales of a quantized file.
pub(crate) fn parse(
    model: &Bytes,
    external: &dyn Fn(&str) -> Option<Bytes>,
    params: &ParseParams,
) -> Result<(Graph, Vec<Diagnostic>, QuantTable), Vec<Diagnostic>> {
    let limits =
        Limits { budget: params.budget(), quantized: params.quantized != Quantized::Refuse, ..Limits::default() };
    let limits = Limits { foreign: !params.custom.is_empty(), ..limits };
    let mut raw = import(model, external, &limits)?;
    custom::declare(&mut raw, &params.custom)?;
    let Some(batch) = batch::asked(&params.inputs) else { return graph_of(raw, params, &params.inputs, limits.budget) };
    let of = |items| graph_of(raw.clone(), params, &batch::with_items(&params.inputs, items), limits.budget);
    let one = of(1)?;
    let two = of(2).map_err(|problems| batch::unbuildable(&one.0, batch, problems))?;
    batch::check(&one.0, &two.0, &params.inputs, batch)?;
    if batch == 2 { Ok(two) } else { of(batch) }
}

/// The graph of an imported file under these descriptions.
fn graph_of(
    mut raw: RawModel,
    params: &ParseParams,
    specs: &BTreeMap<String, InputSpec>,
    budget: usize,
) -> Result<(Graph, Vec<Diagnostic>, QuantTable), Vec<Diagnostic>> {
    let mut notes = std::mem::take(&mut raw.notes);
    let inputs = freeze::freeze(&raw.inputs, specs, &Budget::new(budget, 0), &mut notes)?;
    prune::prune_raw(&mut raw);
    order::sort(&mut raw.nodes)?;
    let given = quantized::to_float(&mut raw)?;
    let mut graph = build::build(raw, &inputs, budget, &mut notes)?;
    cut::cut(&mut graph, &params.cut, &mut notes)?;
    prune::prune(&mut graph);
    preprocess::insert(&mut graph, specs)?;
    graph.compact();
    let problems = graph.verify();
    if problems.is_empty() { Ok((graph, notes, given)) } else { Err(problems) }
}

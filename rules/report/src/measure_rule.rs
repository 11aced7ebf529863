//! The build rule `measure`. Called by the engine after partition.

use crate::measure;
use crate::samples::first_samples;
use bytes::Bytes;
use ptq_ir::{Diagnostic, InputSpec, QuantTable};
use ptq_place::Placement;
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, read_qgraph};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters of [`MeasureRule`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureParams {
    /// How to read samples, by model input.
    pub inputs: BTreeMap<String, InputSpec>,
}

/// `graph` + `qgraph` + `tensor/*`, `quant`, `placement.json`, `sample/<input>/<file>` → `measure.json`
/// ([`crate::Measure`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct MeasureRule;

impl BuildRule for MeasureRule {
    fn name(&self) -> &'static str {
        "measure"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: MeasureParams = ctx.params()?;
        let float = ctx.graph()?;
        let integer = read_qgraph(ctx.inputs)?;
        let unreadable = |what: &str, e: &dyn std::fmt::Display| {
            Failure::from(Diagnostic::error("REPORT01", format!("{what} does not decode: {e}")))
        };
        let quant: QuantTable =
            ptq_ir::from_bytes(&ctx.input("quant")?).map_err(|e| unreadable("the quantization table", &e))?;
        let placement: Placement =
            serde_json::from_slice(&ctx.input("placement.json")?).map_err(|e| unreadable("placement.json", &e))?;
        let (inputs, samples) = first_samples(&float, &params.inputs, ctx.inputs)?;
        let mut result = measure(&float, &integer, &quant, &placement, &inputs, ctx.threads)
            .map_err(|e| Diagnostic::error("REPORT02", e.to_string()))?;
        result.samples = samples;
        let json = serde_json::to_vec(&result)
            .map_err(|e| Diagnostic::error("REPORT03", format!("the measures do not encode: {e}")))?;
        Ok(Step::Done(Blobs::from([("measure.json".to_owned(), Bytes::from(json))])))
    }
}

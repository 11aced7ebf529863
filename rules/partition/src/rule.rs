//! The stage as the engine sees it.

use crate::partition;
use ptq_ir::{Diagnostic, QuantTable};
use ptq_march::March;
use ptq_place::{Requests, follow, place};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, put_qgraph, read_graph};
use serde::{Deserialize, Serialize};

/// What partition reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionParams {
    /// Placement requests.
    pub requests: Requests,
}

/// Inputs: `graph` and its tensors, `quant`, `march`. Outputs: `qgraph` and its tensors, `placement.json`, `warnings.json`.
pub struct PartitionRule;

impl BuildRule for PartitionRule {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn version(&self) -> u32 {
        5
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: PartitionParams = ctx.params()?;
        let graph = read_graph(ctx.inputs)?;
        let march = String::from_utf8_lossy(&ctx.input("march")?).into_owned();
        let march = March::from_toml(&march).map_err(Failure::from)?;
        let quant: QuantTable = ptq_ir::from_bytes(&ctx.input("quant")?)
            .map_err(|e| Failure::from(Diagnostic::error("PART01", format!("quantization table: {e}"))))?;
        let (mut placement, warnings) = place(&graph, &march, &params.requests).checked()?;
        follow(&graph, &mut placement, &quant);
        let program = partition(&graph, &march, &placement, &quant)?;
        let mut out = Blobs::new();
        put_qgraph(&mut out, &program)?;
        let table =
            serde_json::to_vec(&placement).map_err(|e| Failure::from(Diagnostic::error("PART02", e.to_string())))?;
        out.insert("placement.json".into(), table.into());
        let warnings =
            serde_json::to_vec(&warnings).map_err(|e| Failure::from(Diagnostic::error("PART02", e.to_string())))?;
        out.insert("warnings.json".into(), warnings.into());
        Ok(Step::Done(out))
    }
}

//! The stage as the engine sees it.

use crate::partition;
use ptq_ir::{Diagnostic, QGraph, QuantTable, TensorId};
use ptq_march::March;
use ptq_place::{Removal, Requests, follow, place, removed};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, put_qgraph};
use serde::{Deserialize, Serialize};

/// What partition reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionParams {
    /// Placement requests.
    pub requests: Requests,
    /// Borders to leave away.
    #[serde(default, skip_serializing_if = "Removal::is_nothing")]
    pub removal: Removal,
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
        let graph = ctx.graph()?;
        let march = String::from_utf8_lossy(&ctx.input("march")?).into_owned();
        let march = March::from_toml(&march).map_err(Failure::from)?;
        let quant: QuantTable = ptq_ir::from_bytes(&ctx.input("quant")?)
            .map_err(|e| Failure::from(Diagnostic::error("PART01", format!("quantization table: {e}"))))?;
        let (mut placement, mut warnings) = place(&graph, &march, &params.requests).checked()?;
        follow(&graph, &mut placement, &quant);
        let removed = removed(&graph, &placement, &params.removal);
        let program = partition(&graph, &march, &placement, &quant, &removed.ports)?;
        warnings.extend(removed.notes);
        warnings.extend(bare_ports(&program));
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

/// What whoever runs the model has to do for each port without a border.
fn bare_ports(program: &QGraph) -> Vec<Diagnostic> {
    let note = |id: &TensorId, what: &str, how: &str| {
        let tensor = program.tensor(*id);
        let params = tensor.quant.as_ref()?;
        let (name, dtype, shape) = (&tensor.source, tensor.dtype, &tensor.shape);
        let (scale, zero) = (params.scale0(), params.zero_point0());
        let scale = match params.axis {
            Some(axis) => format!("{} scales along axis {axis}, the first {scale}", params.scale.len()),
            None => format!("scale {scale}"),
        };
        let said = format!("{what} {name} carries {dtype}{shape:?}: {how}, {scale}, zero point {zero}");
        Some(Diagnostic::warning("PART21", said).value(name).hint("`ptq info` prints these figures of every file"))
    };
    let inputs = program.inputs.iter().filter_map(|id| note(id, "input", "q = round(x / scale) + zero point"));
    let outputs = program.outputs.iter().filter_map(|id| note(id, "output", "y = (q - zero point) · scale"));
    inputs.chain(outputs).collect()
}

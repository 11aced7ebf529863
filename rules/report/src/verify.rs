//! Compares all stages of a variant on given inputs and names the first node where two of them part. Called by
//! `ptq verify`.
//!
//! Five artifacts in a row, compared pair by pair: the parsed graph, the fused graph, the fused graph with simulated
//! quantization, the integer program in the naive interpreter, the compiled file. The limits are in [`LIMITS`].

mod bin;
mod compare;
mod error;
mod files;
mod limits;
mod local;
mod ports;
mod report;
mod rounding;
mod text;
mod trace;

pub use bin::{BinRun, Port, RunFn, TensorSink};
pub use error::VerifyError;
pub use files::{FilePorts, file_differences};
pub use limits::{Gate, LIMITS, Limit, Metric, Stage};
pub use report::{Divergence, OutputFigures, PairReport, Verdict, VerifyReport};

use ptq_ir::{Graph, QGraph, QuantTable, Tensor};
use trace::Trace;

/// The artifacts of one variant.
pub struct VerifyStages<'a> {
    /// What parse made.
    pub original: &'a Graph,
    /// What fuse made.
    pub optimized: &'a Graph,
    /// What calibrate made.
    pub quant: &'a QuantTable,
    /// What partition made.
    pub integer: &'a QGraph,
    /// What compile made, if it is to be compared.
    pub bin: Option<BinRun<'a>>,
    /// Threads inside float kernels. Never changes a result.
    pub threads: usize,
}

/// Runs every artifact on `inputs` (in the model's order) and compares neighbours under `limits` (normally [`LIMITS`]).
///
/// # Errors
/// When an artifact does not run at all. Differences are part of the report.
pub fn verify(stages: &VerifyStages<'_>, inputs: &[Tensor], limits: &[Limit]) -> Result<VerifyReport, VerifyError> {
    let contract = ports::differences(stages);
    let mut pairs = Vec::new();
    let limit = |before: Stage, after: Stage| limits.iter().find(|l| l.before == before && l.after == after);
    let judge =
        |before: &Trace, after: &Trace| limit(before.stage, after.stage).map(|l| compare::pair(l, before, after, None));
    let original = Trace::float(Stage::Original, stages.original, Some(stages.optimized), inputs, stages.threads)?;
    let optimized = Trace::float(Stage::Optimized, stages.optimized, None, inputs, stages.threads)?;
    if let Some(limit) = limit(Stage::Original, Stage::Optimized) {
        pairs.push(fused(stages, inputs, limit, &original, &optimized)?);
    }
    drop(original);
    let calibrated = Trace::calibrated(stages.optimized, stages.quant, inputs, stages.threads)?;
    pairs.extend(judge(&optimized, &calibrated));
    drop(optimized);
    let quantized = Trace::integer(stages.integer, inputs)?;
    if let Some(limit) = limit(Stage::Calibrated, Stage::Quantized) {
        let local = local::compare(stages.optimized, stages.integer, &quantized, limit.limit)?;
        pairs.push(compare::nodes(limit, local, &calibrated, &quantized));
    }
    drop(calibrated);
    if let Some(bin) = &stages.bin {
        pairs.extend(judge(&quantized, &Trace::bin(bin, stages.integer, inputs)?));
    }
    Ok(VerifyReport::new(contract, pairs))
}

/// Judges another way of fusing the same graph, as [`verify`] judges the optimized one.
///
/// # Errors
/// As [`verify`].
pub fn verify_fusion(stages: &VerifyStages<'_>, inputs: &[Tensor]) -> Result<Option<PairReport>, VerifyError> {
    let limit = LIMITS.iter().find(|l| l.before == Stage::Original && l.after == Stage::Optimized);
    let original = Trace::float(Stage::Original, stages.original, Some(stages.optimized), inputs, stages.threads)?;
    let optimized = Trace::float(Stage::Optimized, stages.optimized, None, inputs, stages.threads)?;
    limit.map(|limit| fused(stages, inputs, limit, &original, &optimized)).transpose()
}

/// Judges the fused graph; where it seems to differ, by what the original's own rounding changes.
fn fused(
    stages: &VerifyStages<'_>,
    inputs: &[Tensor],
    limit: &Limit,
    original: &Trace,
    optimized: &Trace,
) -> Result<PairReport, VerifyError> {
    let strict = compare::pair(limit, original, optimized, None);
    if strict.verdict == Verdict::Passed {
        return Ok(strict);
    }
    let off = rounding::one_step_off(stages.original);
    let off = Trace::float(Stage::Original, &off, Some(stages.optimized), inputs, stages.threads)?;
    Ok(compare::pair(limit, original, optimized, Some(&off)))
}

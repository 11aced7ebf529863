//! Gates: limits that a finished variant must keep, and the stage that lost what it does not keep. Called by `finish`.

use crate::artifacts::Stages;
use crate::build::VariantReport;
use crate::error::EngineError;
use crate::evaluate::Evaluator;
use crate::executor::internal;
use crate::manifest::{GateConfig, Variant};
use crate::materialize;
use crate::sources::sample_key;
use ptq_ir::Diagnostic;
use ptq_report::verify::Stage;
use ptq_report::{Figure, Missed, StageMatrix, StageRow, fidelity};
use ptq_rule::Failure;
use std::path::{Path, PathBuf};

/// Files of a variant with a gate.
const FILES: [&str; 2] = ["gate.json", "gate.html"];
/// All stages, in the order in which data flows.
const ALL: [Stage; 5] = [Stage::Original, Stage::Optimized, Stage::Calibrated, Stage::Quantized, Stage::Bin];

/// One limit: its key, what it wants, and whether a row keeps it beside the original's.
struct Limit {
    key: &'static str,
    limit: f64,
    figure: fn(&StageRow, &StageRow) -> Option<f64>,
    most: bool,
}

impl Limit {
    fn misses(&self, row: &StageRow, original: &StageRow) -> Option<f64> {
        let figure = (self.figure)(row, original)?;
        let kept = if self.most { figure <= self.limit } else { figure >= self.limit };
        (!kept).then_some(figure)
    }
}

fn limits(gate: &GateConfig) -> Vec<Limit> {
    type Of = fn(&StageRow, &StageRow) -> Option<f64>;
    let cosine: Of = |row, _| Some(row.cosine?.0);
    let sqnr: Of = |row, _| Some(row.sqnr_db?.0);
    let metric: Of = |row, _| Some(row.metric?.0);
    // Shares are fractions of few samples: a difference that rounding alone makes is none.
    let drop: Of = |row, original| Some(((original.metric?.0 - row.metric?.0) * 1e12).round() / 1e12);
    let of = |key, limit: Option<f64>, figure, most| limit.map(|limit| Limit { key, limit, figure, most });
    [
        of("gate.min_cosine", gate.min_cosine, cosine, false),
        of("gate.min_sqnr_db", gate.min_sqnr_db, sqnr, false),
        of("gate.min_metric", gate.min_metric, metric, false),
        of("gate.max_top1_drop", gate.max_top1_drop, drop, true),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Holds a variant to its gate: writes the stage matrix, adds problems, and shows the matrix with the other tables.
///
/// # Errors
/// When the files cannot be written.
pub(crate) fn hold(
    evaluator: &Evaluator<'_>,
    variant: &Variant,
    stages: &Stages<'_>,
    outputs: &[String],
    out: &Path,
    report: &mut VariantReport,
    seen: &mut Vec<PathBuf>,
) -> Result<(), EngineError> {
    let folder = out.join(stages.variant);
    let gate = &evaluator.config.gate;
    if limits(gate).is_empty() {
        FILES.iter().for_each(|name| drop(std::fs::remove_file(folder.join(name))));
        return Ok(());
    }
    let matrix = match matrix(evaluator, outputs) {
        Ok(matrix) => matrix,
        Err(failure) => {
            report.problems.extend(failure.diagnostics);
            return Ok(());
        }
    };
    let json = serde_json::to_vec_pretty(&matrix).unwrap_or_default();
    for (name, bytes) in FILES.iter().zip([json, matrix.html().into_bytes()]) {
        let path = folder.join(name);
        match materialize::bytes(evaluator.driver.executor.session, &path, &bytes)? {
            Ok(()) => seen.push(path),
            Err(failure) => report.problems.extend(failure.diagnostics),
        }
    }
    if let Some(tables) = &mut report.tables {
        *tables = format!("{tables}\n{}", matrix.text());
    }
    for missed in &matrix.missed {
        let line = variant.settings.get(&missed.gate).and_then(|s| s.line);
        let message = format!("{}: {missed}\n{}", stages.variant, matrix.text().trim_end());
        let mut d = Diagnostic::error("GATE01", message)
            .hint(format!("everything is built; `ptq verify {}` compares node by node", stages.variant));
        d.place.line = line;
        d.place.file = line.map(|_| "ptq.toml".to_owned());
        report.problems.push(d);
    }
    Ok(())
}

/// Figures of the stages. The task is evaluated at the ends first, between them only where a limit is missed.
fn matrix(evaluator: &Evaluator<'_>, outputs: &[String]) -> Result<StageMatrix, Failure> {
    let gate = &evaluator.config.gate;
    let mut rows: Vec<StageRow> =
        ALL.into_iter().map(|stage| StageRow { stage, cosine: None, sqnr_db: None, metric: None }).collect();
    if gate.min_cosine.is_some() || gate.min_sqnr_db.is_some() {
        for row in &mut rows {
            let (cosine, sqnr) = kept(evaluator, row.stage, outputs)?;
            (row.cosine, row.sqnr_db) = (Some(Figure(cosine)), Some(Figure(sqnr)));
        }
    }
    let word = if gate.max_top1_drop.is_some() { Some("top1") } else { None };
    let mut metric = None;
    let mut evaluated = |row: &mut StageRow| {
        let found = evaluator.evaluation(row.stage)?;
        let figure = word.map_or(Some(&found.value), |w| found.figures.get(w));
        row.metric = figure.copied();
        metric = Some(word.map_or(found.metric, str::to_owned));
        Ok::<(), Failure>(())
    };
    if gate.max_top1_drop.is_some() || gate.min_metric.is_some() {
        evaluated(&mut rows[0])?;
        evaluated(&mut rows[4])?;
        if limits(gate).iter().any(|l| l.misses(&rows[4], &rows[0]).is_some()) {
            rows[1..4].iter_mut().try_for_each(&mut evaluated)?;
        }
    }
    let original = rows[0].clone();
    let missed = limits(gate).into_iter().filter_map(|l| {
        let figure = l.misses(&rows[4], &original)?;
        let first = rows.iter().find(|r| l.misses(r, &original).is_some())?;
        Some(Missed { gate: l.key.to_owned(), limit: l.limit, figure: Figure(figure), lost_by: first.stage })
    });
    let missed = missed.collect();
    Ok(StageMatrix { variant: evaluator.variant.to_owned(), metric, stages: rows, missed })
}

/// Least cosine and SQNR of a stage's outputs on the first calibration sample.
fn kept(evaluator: &Evaluator<'_>, stage: Stage, outputs: &[String]) -> Result<(f64, f64), Failure> {
    let first = sample_key(evaluator.config).and_then(|key| evaluator.scan.samples.get(&key).copied().flatten());
    let Some((_, first)) = first else {
        let d = Diagnostic::error("GATE02", format!("variant {}: a gate needs a sample", evaluator.variant));
        return Err(d.hint("set calibration.data").into());
    };
    let mut pairs = Vec::new();
    for output in outputs {
        let read = |stage| {
            let tree = evaluator.predict(stage, first, Some(output.clone()))?;
            let blobs = evaluator.driver.executor.load(&tree)?;
            let npy = blobs.into_values().next().ok_or_else(|| internal("an artifact gave no answer"))?;
            ptq_sample::read_npy(&npy).map_err(|e| internal(&e))
        };
        pairs.push((read(stage)?, read(Stage::Original)?));
    }
    Ok(fidelity(&pairs))
}

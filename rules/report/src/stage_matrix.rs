//! What each stage of a variant keeps of the float model: the table behind a gate. Called by the engine.

use crate::Figure;
use crate::text_table::aligned;
use crate::verify::Stage;
use ptq_exec::metrics;
use ptq_ir::Tensor;
use serde::Serialize;
use std::fmt::Write as _;

/// Figures of one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageRow {
    /// Stage.
    pub stage: Stage,
    /// Least cosine similarity of an output to the original's; `None` where it was not asked for.
    pub cosine: Option<Figure>,
    /// Least signal to noise ratio of an output in decibels, the original's output being the signal.
    pub sqnr_db: Option<Figure>,
    /// The figure of the evaluation.
    pub metric: Option<Figure>,
}

/// A limit that was missed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Missed {
    /// Key of the manifest.
    pub gate: String,
    /// What it wants.
    pub limit: f64,
    /// Figure of the last stage.
    pub figure: Figure,
    /// First stage that misses it.
    pub lost_by: Stage,
}

/// Stages beside each other, and what they missed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageMatrix {
    /// Name of the variant.
    pub variant: String,
    /// Word of the evaluation's metric.
    pub metric: Option<String>,
    /// Stages in the order in which data flows.
    pub stages: Vec<StageRow>,
    /// Limits that were missed; none when the gate holds.
    pub missed: Vec<Missed>,
}

/// Least cosine similarity and least SQNR in decibels of pairs of tensors, `(computed, original)`. NaN where one is.
pub fn fidelity(pairs: &[(Tensor, Tensor)]) -> (f64, f64) {
    let least = |of: fn(&[f64], &[f64]) -> f64| {
        let each = pairs.iter().map(|(a, b)| of(&a.to_f64s(), &b.to_f64s()));
        each.reduce(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }).unwrap_or(f64::NAN)
    };
    (least(metrics::cosine), least(metrics::sqnr_db))
}

impl StageMatrix {
    fn cells(&self) -> Vec<[String; 4]> {
        let shown = |f: Option<Figure>| f.map_or_else(|| "-".to_owned(), |f| f.to_string());
        let row = |r: &StageRow| [r.stage.name().to_owned(), shown(r.cosine), shown(r.sqnr_db), shown(r.metric)];
        self.stages.iter().map(row).collect()
    }

    fn head(&self) -> [&str; 4] {
        ["stage", "cosine", "SQNR, dB", self.metric.as_deref().unwrap_or("task")]
    }

    /// The table for a terminal.
    pub fn text(&self) -> String {
        aligned(self.head(), &self.cells())
    }

    /// One page that needs nothing else.
    pub fn html(&self) -> String {
        let escape = |s: &str| s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let cells = |tag: &str, cells: &[String]| -> String {
            cells.iter().map(|c| format!("<{tag}>{}</{tag}>", escape(c))).collect()
        };
        let lost = |stage: Stage| self.missed.iter().any(|m| m.lost_by == stage);
        let mut rows = format!("<tr>{}</tr>\n", cells("th", &self.head().map(str::to_owned)));
        for (row, r) in self.cells().iter().zip(&self.stages) {
            let class = if lost(r.stage) { " class=\"lost\"" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(rows, "<tr{class}>{}</tr>", cells("td", row));
        }
        let verdict: String = match self.missed.is_empty() {
            true => "<p>The gate holds.</p>".to_owned(),
            false => self.missed.iter().map(|m| format!("<p>{}</p>", escape(&m.to_string()))).collect(),
        };
        let name = escape(&self.variant);
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Gate of {name}</title><style>\
             body{{font-family:sans-serif;margin:2em}}table{{border-collapse:collapse}}\
             td,th{{border:1px solid #ccc;padding:2px 8px;text-align:left}}.lost{{background:#fbdada}}\
             </style></head><body>\n<h1>Gate of {name}</h1>\n{verdict}\n<table>{rows}</table></body></html>\n"
        )
    }
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = if self.gate.contains("max_") { "above" } else { "below" };
        write!(f, "{} is {side} {} {}: lost by the stage {}", self.figure, self.gate, self.limit, self.lost_by)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_least_output_counts_and_the_page_marks_who_lost() {
        let t = |v: [f32; 2]| Tensor::from_f32([2], v.to_vec()).unwrap();
        let (cosine, sqnr) = fidelity(&[(t([1.0, 0.0]), t([1.0, 0.0])), (t([1.0, 1.0]), t([1.0, 0.0]))]);
        assert!((cosine - 0.5f64.sqrt()).abs() < 1e-12 && sqnr == 0.0, "{cosine} {sqnr}");
        let row = |stage, c| StageRow { stage, cosine: Some(Figure(c)), sqnr_db: None, metric: None };
        let missed =
            Missed { gate: "gate.min_cosine".into(), limit: 0.9, figure: Figure(0.5), lost_by: Stage::Calibrated };
        let matrix = StageMatrix {
            variant: "a<b".into(),
            metric: None,
            stages: vec![row(Stage::Original, 1.0), row(Stage::Calibrated, 0.5)],
            missed: vec![missed],
        };
        let page = matrix.html();
        assert!(page.contains("class=\"lost\"><td>calibrated") && page.contains("a&lt;b"), "{page}");
        assert!(page.contains("0.500000 is below gate.min_cosine 0.9: lost by the stage calibrated"), "{page}");
        assert!(matrix.text().contains("calibrated  0.500000"), "{}", matrix.text());
    }
}

//! What a calibration search tried. Called by the engine (terminal) and by `markdown`.

use crate::text_table::{aligned, markdown};
use ptq_calibrate::SearchReport;

const TRIED: [&str; 3] = ["Candidate", "Score", "Chosen"];
const SENSITIVE: [&str; 3] = ["Sensitive node", "Score alone under kl", "Best for it"];

/// The candidates with their scores, and for `mix` the sensitive nodes; for the terminal.
pub fn search_table(report: &SearchReport) -> String {
    let mut out = format!("{}\n{}", heading(report), aligned(TRIED, &tried(report)));
    if !report.sensitive.is_empty() {
        out = out + "\n" + &aligned(SENSITIVE, &sensitive(report));
    }
    out
}

/// The same as a section of the report.
pub(crate) fn section(report: &SearchReport) -> String {
    let mut out = format!("\n## Calibration search\n\n{}\n\n{}", heading(report), markdown(TRIED, &tried(report)));
    if !report.sensitive.is_empty() {
        out = out + "\n" + &markdown(SENSITIVE, &sensitive(report));
    }
    out
}

fn heading(report: &SearchReport) -> String {
    format!(
        "search {} on {} samples; score: mean of the smallest cosine similarity over {}{}",
        report.search,
        report.samples,
        report.compared.join(", "),
        note(report)
    )
}

/// Why the chosen candidate may not be the one with the highest score.
fn note(report: &SearchReport) -> &'static str {
    match report.search.as_str() {
        "auto" => "; rounded weights win unless another is better by more than the samples differ",
        _ => "",
    }
}

fn tried(report: &SearchReport) -> Vec<[String; 3]> {
    let row = |t: &ptq_calibrate::Tried| {
        let chosen = if t.name == report.chosen { "<-" } else { "" };
        [t.name.clone(), shown(t.score), chosen.to_owned()]
    };
    report.tried.iter().map(row).collect()
}

fn sensitive(report: &SearchReport) -> Vec<[String; 3]> {
    report.sensitive.iter().map(|s| [s.node.clone(), shown(s.score), s.best.clone()]).collect()
}

fn shown(score: Option<f64>) -> String {
    score.map_or_else(|| "not a number".to_owned(), |s| format!("{s:.6}"))
}

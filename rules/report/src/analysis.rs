//! An analysis of a variant for people: tables for the terminal, and a page that needs nothing else. Called by the command line.

mod graph;
mod page;
mod plots;

pub use page::analysis_html;

use crate::text_table::aligned;
use ptq_calibrate::{Analysis, Errors, Proposal};
use std::fmt::Write as _;

/// The ranked nodes, at most `top`, what the whole variant loses, and what would help; for the terminal. `model` and `variant` are names in
/// the manifest.
pub fn analysis_text(a: &Analysis, model: &str, variant: &str, top: usize) -> String {
    let mut out = format!(
        "{} samples; errors at {}; node by node with only that node quantized, the costliest first\n",
        a.samples,
        a.compared.join(", ")
    );
    let head = [
        "Node",
        "Op",
        "Cosine",
        "weights only",
        "activations only",
        "MSE",
        "MRE",
        "SQNR, dB",
        "Chebyshev",
        "accumulated",
    ];
    let row = |n: &ptq_calibrate::NodeAnalysis| {
        let e = &n.alone;
        [
            n.node.clone(),
            n.op.clone(),
            cosine(&e.both),
            cosine(&e.weights),
            cosine(&e.activations),
            short(e.both.mse),
            short(e.both.mre),
            sqnr(&e.both),
            short(e.both.chebyshev),
            cosine(&n.accumulated.both),
        ]
    };
    out += &aligned(head, &a.nodes.iter().take(top).map(row).collect::<Vec<_>>());
    if a.nodes.len() > top {
        let _ = writeln!(out, "… and {} more nodes", a.nodes.len() - top);
    }
    let whole =
        |what: &str, e: &Errors| [what.to_owned(), cosine(e), short(e.mse), short(e.mre), sqnr(e), short(e.chebyshev)];
    let rows = [
        whole("everything quantized", &a.whole.both),
        whole("weights only", &a.whole.weights),
        whole("activations only", &a.whole.activations),
    ];
    out.push('\n');
    out += &aligned(["At the outputs", "Cosine", "MSE", "MRE", "SQNR, dB", "Chebyshev"], &rows);
    out.push('\n');
    out += &advice(a, model, variant);
    out
}

/// What would help, with the lines to write.
fn advice(a: &Analysis, model: &str, variant: &str) -> String {
    let score = shown(a.score);
    if a.proposals.is_empty() {
        return format!("Score {score}. Nothing that was tried raises it.\n");
    }
    let mut out = format!("Score {score}. What would raise it, measured on the same samples:\n");
    for p in &a.proposals {
        let _ = writeln!(out, "\n# {}: {:.6} ({:+.6})\n{}", p.what, p.score, p.gain, lines(p, model));
    }
    let first: Vec<String> =
        a.proposals[0].settings.iter().map(|(k, v)| format!("-D '{k}={}'", v.trim_matches('"'))).collect();
    let _ = writeln!(out, "\nTry the first without an edit: ptq build {variant} {}", first.join(" "));
    out
}

/// The lines of the manifest that a proposal stands for.
pub(crate) fn lines(p: &Proposal, model: &str) -> String {
    let mut out = format!("[model.{model}]");
    for (key, value) in &p.settings {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n{key} = {value}");
    }
    out
}

pub(crate) fn shown(x: Option<f64>) -> String {
    x.map_or_else(|| "not a number".to_owned(), |x| format!("{x:.6}"))
}

fn cosine(e: &Errors) -> String {
    shown(e.cosine)
}

/// Three digits, in powers of ten where it is small or large.
pub(crate) fn short(x: Option<f64>) -> String {
    match x {
        None => "not a number".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(x) if (1e-3..1e5).contains(&x.abs()) => format!("{x:.4}"),
        Some(x) => format!("{x:.2e}"),
    }
}

/// Decibels; `-` where there is no noise.
pub(crate) fn sqnr(e: &Errors) -> String {
    match (e.sqnr_db, e.mse) {
        (Some(x), _) => format!("{x:.2}"),
        (None, Some(0.0)) => "-".to_owned(),
        (None, _) => "not a number".to_owned(),
    }
}

#[cfg(test)]
mod tests;

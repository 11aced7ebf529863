//! The report as text.

use super::{Divergence, Gate, PairReport, Verdict, VerifyReport};
use std::fmt;

impl fmt::Display for VerifyReport {
    /// One block a pair, with its limit; then the conclusion.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.contract.is_empty() {
            true => writeln!(f, "inputs and outputs: equal names, order, types and shapes in all artifacts")?,
            false => self.contract.iter().try_for_each(|problem| writeln!(f, "FAILED: {problem}"))?,
        }
        self.pairs.iter().try_for_each(|p| p.fmt(f))?;
        self.rewrites.iter().try_for_each(|r| writeln!(f, "{r}"))?;
        match (self.passed, self.first_divergence()) {
            (true, _) => writeln!(f, "verified"),
            (false, None) => writeln!(f, "not verified: the artifacts have different inputs or outputs"),
            (false, Some((pair, Some(at)))) => {
                writeln!(f, "not verified: {} first differs from {} at {}", pair.after, pair.before, place(at))
            }
            (false, Some((pair, None))) => {
                writeln!(f, "not verified: {} differs from {} at the model's outputs", pair.after, pair.before)
            }
        }
    }
}

impl fmt::Display for PairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Passed => "ok",
            Verdict::Warning => "WARNING",
            Verdict::Failed => "FAILED",
        };
        let scope = match self.gate {
            Gate::Fail => "every tensor",
            Gate::Warn => "every output, else a warning",
        };
        writeln!(f, "{} -> {}: {word}, {} tensors compared", self.before, self.after, self.compared)?;
        writeln!(f, "  limit: {} on {scope} ({})", self.condition, self.why)?;
        for o in &self.outputs {
            let mark = if o.accepted { "" } else { "  <- outside the limit" };
            writeln!(f, "  output {}: cosine {}, max|a-b| / max|b| {:.3e}{mark}", o.output, o.cosine, o.error.0)?;
        }
        if let Some(first) = &self.first {
            writeln!(f, "  first outside the limit: {}", place(first))?;
        }
        match &self.worst {
            Some(worst) => writeln!(f, "  worst: {}", place(worst)),
            None => Ok(()),
        }
    }
}

fn place(at: &Divergence) -> String {
    let node = if at.node.is_empty() { "model input".to_owned() } else { format!("node {}", at.node) };
    format!("{node} (tensor {}, figure {})", at.value, short(at.figure.0))
}

/// Six decimals where they say something, powers of ten for small figures.
fn short(v: f64) -> String {
    match v {
        _ if v == 0.0 || v.abs() >= 1e-3 || !v.is_finite() => format!("{v:.6}"),
        _ => format!("{v:.3e}"),
    }
}

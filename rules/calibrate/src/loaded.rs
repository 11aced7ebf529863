//! Ranges from a file, for calibration type `load`: nothing is observed. Called by the calibrate rule.
//!
//! The file is JSON: an object of ranges by value name, alone or as the field `tensors`, as `quant_info.json` has it. A range is
//! `{"lo": …, "hi": …}`, or one number `t` for `-t..t`.

use crate::Histogram;
use crate::values::origin;
use ptq_ir::{Diagnostic, Graph, ValueId};
use ptq_place::Scale;
use ptq_rule::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Name of the blob with the ranges.
pub const THRESHOLDS: &str = "thresholds";

#[derive(Deserialize)]
#[serde(untagged)]
enum Range {
    Ends { lo: f32, hi: f32 },
    Threshold(f32),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Info { tensors: BTreeMap<String, Range> },
    Plain(BTreeMap<String, Range>),
}

/// Histograms of nothing but each range's ends, so that the way `load` finds them as extremes; images need none.
///
/// # Errors
/// When the file does not read, and every value with a scale of its own that it leaves out, by name.
pub(crate) fn loaded(
    bytes: &[u8],
    graph: &Graph,
    scales: &BTreeMap<ValueId, Scale>,
    is_image: &dyn Fn(ValueId) -> bool,
) -> Result<BTreeMap<String, Histogram>, Failure> {
    let file: File = serde_json::from_slice(bytes).map_err(|e| {
        Diagnostic::error("CALIB15", format!("the file of calibration.thresholds does not read: {e}"))
            .hint("it is JSON: { \"value name\": { \"lo\": -1.0, \"hi\": 1.0 }, … }, or a quant_info.json")
    })?;
    let (File::Info { tensors: ranges } | File::Plain(ranges)) = file;
    let mut out = BTreeMap::new();
    let mut problems = Vec::new();
    for (&v, _) in scales.iter().filter(|(v, s)| **s == Scale::Own && !is_image(**v)) {
        let (name, from) = (&graph.value(v).name, &graph.value(origin(graph, v)).name);
        let problem = |what: String| Diagnostic::error("CALIB15", what).value(name);
        match ranges.get(name).or_else(|| ranges.get(from)) {
            None => problems.push(
                problem("has no range in the file of calibration.thresholds".into())
                    .hint("quant_info.json of a variant of the same model names every value"),
            ),
            Some(range) => {
                let (lo, hi) = match *range {
                    Range::Ends { lo, hi } => (lo, hi),
                    Range::Threshold(t) => (-t, t),
                };
                if !(lo.is_finite() && hi.is_finite() && lo <= hi) {
                    problems.push(problem(format!("has the range {lo}..{hi} in the file of calibration.thresholds")));
                    continue;
                }
                let mut histogram = Histogram::default();
                histogram.observe(&[lo, hi]);
                out.insert(from.clone(), histogram);
            }
        }
    }
    if problems.is_empty() { Ok(out) } else { Err(problems.into()) }
}

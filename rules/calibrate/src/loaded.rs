//! Ranges from a file, for calibration type `load`. Called by the calibrate rule.
//!
//! The file is JSON: an object of ranges by value name, alone or as the field `tensors`, as `quant_info.json` has it. A range is
//! `{"lo": …, "hi": …}`, or one number `t` for `-t..t`. Or it is an ONNX file that a quantization tool or quantization-aware training
//! has made of the same model: each QuantizeLinear states the range of the float value that it reads. Tools leave a Relu or Clip out where
//! saturation does its work; the range in front of it, cut to its bounds, is that of its result.

use crate::Histogram;
use crate::values::origin;
use ptq_ir::{Activation, Diagnostic, Graph, ValueId, ops};
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

/// What a file states of a graph's values.
pub(crate) struct Loaded {
    /// Histograms of nothing but each range's ends, so that the way `load` finds them as extremes; images need none.
    pub(crate) histograms: BTreeMap<String, Histogram>,
    /// Values with a scale of their own that it leaves out.
    pub(crate) missing: Vec<ValueId>,
}

/// Ranges by value name.
fn ranges(bytes: &[u8]) -> Result<BTreeMap<String, (f32, f32)>, Failure> {
    if bytes.iter().find(|b| !b.is_ascii_whitespace()).is_none_or(|b| *b == b'{') {
        let file: File = serde_json::from_slice(bytes).map_err(|e| {
            Diagnostic::error("CALIB15", format!("the file of calibration.thresholds does not read: {e}"))
                .hint("it is JSON: { \"value name\": { \"lo\": -1.0, \"hi\": 1.0 }, … }, or a quant_info.json, or a quantized ONNX file")
        })?;
        let (File::Info { tensors } | File::Plain(tensors)) = file;
        let ends = |range| match range {
            Range::Ends { lo, hi } => (lo, hi),
            Range::Threshold(t) => (-t, t),
        };
        return Ok(tensors.into_iter().map(|(name, range)| (name, ends(range))).collect());
    }
    let found = ptq_onnx::quantized_ranges(bytes).map_err(|d| {
        Diagnostic::error(
            "CALIB15",
            format!("the file of calibration.thresholds is neither JSON nor ONNX: {}", d.message),
        )
    })?;
    if found.is_empty() {
        let what = "the ONNX file of calibration.thresholds holds no QuantizeLinear with constant scales";
        return Err(Diagnostic::error("CALIB15", what).hint("name a file in QDQ form, or a quant_info.json").into());
    }
    Ok(found)
}

/// The range of a value: its own, that of the value it is moved from, or that in front of the activation that makes it.
fn range_of(graph: &Graph, v: ValueId, ranges: &BTreeMap<String, (f32, f32)>) -> Option<(f32, f32)> {
    let named = |v: ValueId| ranges.get(&graph.value(v).name).copied();
    let from = origin(graph, v);
    named(v).or_else(|| named(from)).or_else(|| {
        let node = graph.node(graph.producers()[from.0 as usize]?);
        let (lo, hi) = named(node.input(0)?)?;
        match ops::activation_of(graph, node)? {
            Activation::None => None,
            Activation::Relu => Some((lo.max(0.0), hi.max(0.0))),
            Activation::Clip { min, max } => Some((lo.clamp(min, max), hi.clamp(min, max))),
        }
    })
}

/// Reads a file.
///
/// # Errors
/// When the file does not read, and every value whose range is none.
pub(crate) fn loaded(
    bytes: &[u8],
    graph: &Graph,
    scales: &BTreeMap<ValueId, Scale>,
    is_image: &dyn Fn(ValueId) -> bool,
) -> Result<Loaded, Failure> {
    let ranges = ranges(bytes)?;
    let mut out = Loaded { histograms: BTreeMap::new(), missing: Vec::new() };
    let mut problems = Vec::new();
    for (&v, _) in scales.iter().filter(|(v, s)| **s == Scale::Own && !is_image(**v)) {
        let Some((lo, hi)) = range_of(graph, v, &ranges) else {
            out.missing.push(v);
            continue;
        };
        if !(lo.is_finite() && hi.is_finite() && lo <= hi) {
            let what = format!("has the range {lo}..{hi} in the file of calibration.thresholds");
            problems.push(Diagnostic::error("CALIB15", what).value(&graph.value(v).name));
            continue;
        }
        let mut histogram = Histogram::default();
        histogram.observe(&[lo, hi]);
        out.histograms.insert(graph.value(origin(graph, v)).name.clone(), histogram);
    }
    if problems.is_empty() { Ok(out) } else { Err(problems.into()) }
}

/// One problem for each value that a file leaves out, where there are no samples to calibrate it with.
pub(crate) fn left_out(graph: &Graph, missing: &[ValueId]) -> Failure {
    let one = |v: &ValueId| {
        Diagnostic::error("CALIB15", "has no range in the file of calibration.thresholds")
            .value(&graph.value(*v).name)
            .hint("set calibration.data to calibrate it from samples; quant_info.json of a variant of the same model names every value")
    };
    missing.iter().map(one).collect::<Vec<_>>().into()
}

/// A note of what was calibrated from samples instead.
pub(crate) fn completed(graph: &Graph, missing: &[ValueId]) -> Diagnostic {
    let names: Vec<&str> = missing.iter().map(|v| graph.value(*v).name.as_str()).collect();
    let what = format!("load: {} values have no range in the file and cover all that the samples hold", names.len());
    Diagnostic::warning("CALIB17", what).hint(format!("values: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ptq_ir::{Attrs, GraphBuilder, Tensor};

    #[test]
    fn a_range_in_front_of_an_activation_is_cut_to_its_bounds() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 4]);
        let relu = b.node("Relu", "relu", &[x], Attrs::default(), &[1, 4]);
        let (lo, hi) = (b.constant("lo", Tensor::scalar_f32(0.0)), b.constant("hi", Tensor::scalar_f32(6.0)));
        let clip = b.node("Clip", "clip", &[x, lo, hi], Attrs::default(), &[1, 4]);
        let neg = b.node("Neg", "neg", &[x], Attrs::default(), &[1, 4]);
        let moved = b.node("Reshape", "moved", &[relu], Attrs::default(), &[4, 1]);
        [clip, neg, moved].into_iter().for_each(|v| b.output(v));
        let g = b.finish();
        let stated = BTreeMap::from([("x".to_owned(), (-2.0, 9.0))]);
        let of = |name: &str| range_of(&g, g.find_value(name).unwrap(), &stated);
        assert_eq!((of("x"), of("relu_out"), of("clip_out")), (Some((-2.0, 9.0)), Some((0.0, 9.0)), Some((0.0, 6.0))));
        assert_eq!((of("moved_out"), of("neg_out")), (Some((0.0, 9.0)), None));
    }

    #[test]
    fn files_of_all_forms_read_and_others_are_named() {
        let read = |text: &str| ranges(text.as_bytes());
        let both = read(r#"{"tensors": {"a": {"lo": -1.0, "hi": 2.0, "method": "max"}}}"#).unwrap();
        assert_eq!(both["a"], (-1.0, 2.0));
        assert_eq!(read(r#" {"a": 1.5}"#).unwrap()["a"], (-1.5, 1.5));
        for wrong in ["{", "no model", "[1]"] {
            assert_eq!(read(wrong).unwrap_err().diagnostics[0].code, "CALIB15", "{wrong}");
        }
    }
}

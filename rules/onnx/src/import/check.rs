//! Which operators a file may use: one clear error for an already quantized model, one for each unknown operator.

use crate::is_known_op;
use crate::raw::{RawNode, is_control};
use ptq_ir::Diagnostic;
use std::collections::BTreeMap;

/// Newest version of the standard operator set whose changes were read and are handled.
pub(crate) const NEWEST_OPSET: i64 = 28;
/// Oldest version that is handled; before it, broadcasting was another one.
pub(crate) const OLDEST_OPSET: i64 = 7;

/// Problems with the operators of a model; nodes of quantized models pass when `quantized` says so.
pub(crate) fn operators(nodes: &[RawNode], quantized: bool, foreign: bool) -> Vec<Diagnostic> {
    let integer: Vec<&RawNode> = nodes.iter().filter(|n| is_quantized(n)).collect();
    if let (Some(first), false) = (integer.first(), quantized) {
        let message = format!("the model is already quantized ({} nodes such as {})", integer.len(), first.op);
        let hint = "give the float model, or set quantized = \"requantize\" (thresholds from calibration data) or \
                    quantized = \"keep\" (thresholds of the file); \"refuse\" is the default";
        return vec![Diagnostic::error("ONNX06", message).node(&first.name).hint(hint)];
    }
    let mut unknown: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for node in nodes.iter().filter(|n| !is_quantized(n) && !is_standard_control(n)) {
        let passes = foreign && !node.domain.is_empty();
        if !passes && (!node.domain.is_empty() || !is_known_op(&node.op)) {
            unknown.entry((&node.domain, &node.op)).or_default().push(&node.name);
        }
    }
    let mut out: Vec<(usize, Diagnostic)> = Vec::new();
    for ((domain, op), names) in unknown {
        let op = if domain.is_empty() { op.to_owned() } else { format!("{domain}.{op}") };
        let more = if names.len() > 1 { format!(" ({} nodes)", names.len()) } else { String::new() };
        let at = nodes.iter().position(|n| n.name == names[0]).unwrap_or(0);
        let mut d = Diagnostic::error("ONNX05", format!("operator {op} is not supported{more}")).node(names[0]);
        if !domain.is_empty() {
            d = d.hint("declare it in the manifest: [custom_op.NAME] with its shapes and the command that computes it");
        }
        out.push((at, d));
    }
    out.sort_by_key(|(at, _)| *at);
    out.into_iter().map(|(_, d)| d).collect()
}

/// Whether a node belongs to a quantized model: QDQ form, QOperator form, or the contributed operators that
/// quantization tools write.
pub fn is_quantized(node: &RawNode) -> bool {
    const STANDARD: [&str; 7] = [
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "ConvInteger",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
    ];
    let op = node.op.as_str();
    match node.domain.as_str() {
        "" => STANDARD.contains(&op),
        "com.microsoft" => {
            op.starts_with("QLinear")
                || matches!(
                    op,
                    "QuantizeLinear"
                        | "DequantizeLinear"
                        | "QGemm"
                        | "QAttention"
                        | "MatMulIntegerToFloat"
                        | "DynamicQuantizeMatMul"
                )
        }
        _ => false,
    }
}

/// The version of the standard operator set, when it is one that is handled.
pub(crate) fn opset(version: Option<i64>) -> Result<i64, Diagnostic> {
    match version {
        None => Err(Diagnostic::error("ONNX04", "the model does not state its operator set")),
        Some(v) if (OLDEST_OPSET..=NEWEST_OPSET).contains(&v) => Ok(v),
        Some(v) => {
            let message = format!("operator set {v} is not supported ({OLDEST_OPSET} to {NEWEST_OPSET} are)");
            Err(Diagnostic::error("ONNX04", message).hint("export the model with operator set 17"))
        }
    }
}

/// If, Loop or Scan of the standard domain, which parse resolves.
fn is_standard_control(node: &RawNode) -> bool {
    node.domain.is_empty() && is_control(&node.op)
}

//! Which operators a file may use: one clear error for an already quantized model, one for each unknown operator.

use crate::{is_known_op, raw::RawNode};
use ptq_ir::Diagnostic;
use std::collections::BTreeMap;

/// Newest version of the standard operator set whose changes were read and are handled.
pub(crate) const NEWEST_OPSET: i64 = 28;
/// Oldest version that is handled; before it, broadcasting was another one.
pub(crate) const OLDEST_OPSET: i64 = 7;

/// Problems with the operators of a model.
pub(crate) fn operators(nodes: &[RawNode]) -> Vec<Diagnostic> {
    let quantized: Vec<&RawNode> = nodes.iter().filter(|n| is_quantized(&n.op)).collect();
    if let Some(first) = quantized.first() {
        let message = format!("the model is already quantized ({} nodes such as {})", quantized.len(), first.op);
        return vec![Diagnostic::error("ONNX06", message).node(&first.name).hint("give the float model")];
    }
    let mut unknown: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for node in nodes {
        if !node.domain.is_empty() || !is_known_op(&node.op) {
            unknown.entry((&node.domain, &node.op)).or_default().push(&node.name);
        }
    }
    let mut out: Vec<(usize, Diagnostic)> = Vec::new();
    for ((domain, op), names) in unknown {
        let op = if domain.is_empty() { op.to_owned() } else { format!("{domain}.{op}") };
        let more = if names.len() > 1 { format!(" ({} nodes)", names.len()) } else { String::new() };
        let at = nodes.iter().position(|n| n.name == names[0]).unwrap_or(0);
        out.push((at, Diagnostic::error("ONNX05", format!("operator {op} is not supported{more}")).node(names[0])));
    }
    out.sort_by_key(|(at, _)| *at);
    out.into_iter().map(|(_, d)| d).collect()
}

fn is_quantized(op: &str) -> bool {
    op.starts_with("QLinear")
        || matches!(
            op,
            "QuantizeLinear"
                | "DequantizeLinear"
                | "DynamicQuantizeLinear"
                | "ConvInteger"
                | "MatMulInteger"
                | "MatMulIntegerToFloat"
                | "DynamicQuantizeMatMul"
                | "QGemm"
                | "QAttention"
        )
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

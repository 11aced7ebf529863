//! Operators of other domains that a file uses. Asked by the engine, which gives each model the declarations that it needs.

use crate::proto::{GraphProto, ModelProto, NodeProto};
use crate::scan::{Limits, scan};
use prost::Message as _;
use ptq_ir::Diagnostic;
use std::collections::BTreeSet;

/// Domain and operator, with a dot between, of every node of another domain; calls of the file's own functions are none.
///
/// # Errors
/// When the bytes are not an ONNX model.
pub fn foreign_ops(bytes: &[u8], limits: &Limits) -> Result<BTreeSet<String>, Diagnostic> {
    scan(bytes, limits)?;
    let model = ModelProto::decode(bytes).map_err(|e| Diagnostic::error("ONNX01", e.to_string()))?;
    let name = |domain: &Option<String>, op: &Option<String>| {
        let domain = domain.as_deref().filter(|d| !d.is_empty() && *d != "ai.onnx")?;
        Some(format!("{domain}.{}", op.as_deref().unwrap_or_default()))
    };
    let functions: BTreeSet<String> = model.functions.iter().filter_map(|f| name(&f.domain, &f.name)).collect();
    let mut found = BTreeSet::new();
    let mut visit = |n: &NodeProto| found.extend(name(&n.domain, &n.op_type));
    model.functions.iter().flat_map(|f| &f.node).for_each(|n| node(n, &mut visit));
    model.graph.iter().for_each(|g| graph(g, &mut visit));
    found.retain(|n| !functions.contains(n));
    Ok(found)
}

fn graph(g: &GraphProto, visit: &mut impl FnMut(&NodeProto)) {
    g.node.iter().for_each(|n| node(n, visit));
}

fn node(n: &NodeProto, visit: &mut impl FnMut(&NodeProto)) {
    visit(n);
    for a in &n.attribute {
        a.g.iter().chain(&a.graphs).for_each(|g| graph(g, visit));
    }
}

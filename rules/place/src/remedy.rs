//! What would move a node to the BPU: a change of the model, or another march that allows the node as it is.
//!
//! Called by the placement rules when they write a reason.

use crate::rules::{attribute, float_only, limit, no_route};
use ptq_ir::{Graph, Node};
use ptq_march::March;
use std::sync::LazyLock;

/// The built-in marches, in name order. Constants of the program: every process reads the same ones.
static BUILT_IN: LazyLock<Vec<March>> = LazyLock::new(|| {
    let read = |name: &str| March::from_toml(&ptq_march::source(name)?).ok();
    let mut all: Vec<March> = ptq_march::names().filter_map(read).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
});

/// `first`, and the built-in marches that accelerate this node as it is, where there are any. The march `cpu` stands for
/// the host's integer kernels and is not offered in place of an accelerator.
pub(crate) fn or_another_march(first: &str, march: &March, graph: &Graph, node: &Node) -> String {
    // A march of the user that shares a built-in name is the one that was asked.
    let others = BUILT_IN.iter().filter(|m| m.name != march.name && m.hardware.is_some());
    let allow: Vec<&str> = others.filter(|m| allows(m, graph, node)).map(|m| m.name.as_str()).collect();
    if allow.is_empty() {
        return first.to_owned();
    }
    let verb = if allow.len() == 1 { "march" } else { "marches" };
    format!("{first}; allowed on {verb} {}", allow.join(", "))
}

/// Whether nothing about the node alone keeps it from this march.
fn allows(march: &March, graph: &Graph, node: &Node) -> bool {
    no_route::accelerates(march, graph, node)
        && float_only::reason(graph, node).is_none()
        && attribute::mismatch(march, graph, node).is_none()
        && attribute::not_yet(march, graph, node).is_none()
        && !limit::exceeded(march, graph, node)
}

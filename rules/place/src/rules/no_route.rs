//! PLACE01 no-route.

use crate::entry::{self, entry};
use crate::place::is_known;
use crate::{Reason, remedy};
use ptq_ir::ops::CustomOp;
use ptq_ir::{Graph, Node};
use ptq_march::{Class, March, Route};
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE01` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE01",
    name: "no-route",
    summary: "An operator that the march's table does not accelerate runs on the CPU.",
    why: "The table lists what the hardware computes; anything else would be invented.",
    example: "Erf  -> CPU (no entry in march bayes)",
    since: "0.1.0",
};

/// The reason for a node without an accelerated route on this march.
pub(crate) fn reason(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    if let Some(declared) = CustomOp::of(&node.attrs) {
        let (domain, op, name) = (&node.domain, &node.op, &declared.name);
        return Some(Reason::new(
            META.code,
            format!("{domain}.{op} is a custom operator, which the command of [custom_op.{name}] computes"),
            "replace it by standard operators, in the model or with a [[rewrite]]",
        ));
    }
    if !is_known(node) {
        return Some(Reason::new(
            META.code,
            format!("{} is an operator of domain {:?}, which no march accelerates", node.op, node.domain),
            "replace it by standard operators",
        ));
    }
    let fix = |first: &str| remedy::or_another_march(first, march, graph, node);
    match entry(march, graph, node) {
        None => {
            let why = match march.elsewhere.as_ref().and_then(|e| e.list_of(&node.op)) {
                Some("unsupported") if march.hardware.is_some() => "is refused by the vendor's converter",
                _ => "has no accelerated form",
            };
            let text = format!("{} {why} on march {}{}", node.op, march.name, recognized(node));
            Some(Reason::new(META.code, text, fix(&replacement(march, node))))
        }
        Some(entry) if entry.class == Class::Cpu => {
            let note = entry.note.as_deref().map(|n| format!(": {n}")).unwrap_or_default();
            let text = format!("{} is computed in float on march {}{note}{}", node.op, march.name, recognized(node));
            Some(Reason::new(META.code, text, fix(&replacement(march, node))))
        }
        Some(entry) if entry.route == Route::Replaced && entry.computed => {
            let becomes = entry.becomes.join(" and ");
            let text = format!("{} is accelerated only as {becomes}, and no rule could replace this one", node.op);
            if node.is("LSTM") {
                let what = "fuse.with = [\"unroll-lstm\"] unrolls one forward sequence of at most 64 steps; `ptq rule FUSE26` says what it needs";
                return Some(Reason::new(META.code, text, fix(what)));
            }
            let what = match node.op.as_str() {
                "ConvTranspose" => "constant weights, no dilation, a kernel of about its strides or more",
                _ => "constant weights, 2-D operands",
            };
            let form = format!("write it in a form that becomes {becomes}: {what}");
            Some(Reason::new(META.code, text, fix(&form)))
        }
        Some(_) => None,
    }
}

/// The reason for a node that meets every limit of an operator that only the march computes.
pub(crate) fn not_computed(march: &March, graph: &Graph, node: &Node) -> Option<Reason> {
    let entry = entry(march, graph, node).filter(|e| !e.computed)?;
    let (op, march_name) = (entry::name(march, graph, node), &march.name);
    let missing = entry.missing.as_ref().map(|m| format!(" ({m})")).unwrap_or_default();
    let text = format!(
        "march {march_name} accelerates {op}, this version of ptq does not{missing}: it runs in float on the CPU"
    );
    let fix = format!(
        "nothing in the manifest; cut {op} out of the model, or write it with operators that `ptq ops --march {march_name}` \
         lists without \"(not yet)\""
    );
    Some(Reason::new(META.code, text, remedy::or_another_march(&fix, march, graph, node)))
}

/// The nodes of the user's model that fusion took for a normalization.
fn recognized(node: &Node) -> String {
    match node.covers.first() {
        Some(first) if is_normalization(node) => {
            let count = node.covers.len() + 1;
            format!(" (ptq recognized it in {count} nodes of the model, {first} to {}: FUSE14)", node.name)
        }
        _ => String::new(),
    }
}

fn is_normalization(node: &Node) -> bool {
    node.is("LayerNormalization") || node.is("InstanceNormalization")
}

/// What to put in an operator's place.
fn replacement(march: &March, node: &Node) -> String {
    if is_normalization(node) {
        return "train with BatchNormalization in its place, which folds into the Conv in front; taken apart it would be \
                recognized again"
            .to_owned();
    }
    format!("replace {} by operators that `ptq ops --march {}` lists as accelerated", node.op, march.name)
}

/// Whether the march's table computes this operator as it is.
pub(crate) fn accelerates(march: &March, graph: &Graph, node: &Node) -> bool {
    let entry = entry(march, graph, node);
    entry.is_some_and(|e| e.computed && e.route != Route::Replaced && e.class != Class::Cpu)
}

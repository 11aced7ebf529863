//! What placement says about requested data types and words of `optimization`. Called by `place`.
//!
//! `widths` decides; here is said what it could not do: a request for 16 bits is never dropped silently.

use crate::requests::{Optimization, Side};
use crate::rules::limit;
use crate::{NodePlacement, Placement, Requests};
use ptq_ir::{Device, Diagnostic, Graph};
use ptq_march::March;
use std::collections::BTreeMap;

/// Words that `optimization` takes, for messages.
const WORDS: &str = "set_model_output_int8, set_<Op>_input_int8, set_<Op>_output_int8, the same with int16, \
                     set_all_nodes_int16, run_fast, asymmetric, bias_correction";

/// An error for each word of `optimization` without a meaning.
pub(crate) fn unknown(requests: &Requests) -> Vec<Diagnostic> {
    let words = requests.optimization.iter().filter(|word| Optimization::of(word).is_none());
    words
        .map(|word| {
            Diagnostic::error("PLACE24", format!("optimization: {word:?} is not known")).hint(format!("words: {WORDS}"))
        })
        .collect()
}

const INSTEAD: &str = "keep the node on the CPU (float) where int8 loses too much: run_on_cpu";

fn warn(what: String) -> Diagnostic {
    Diagnostic::warning("PLACE23", what)
}

/// A warning for each requested type that the result does not have, and for each operator that the model does not have.
pub(crate) fn unfulfilled(graph: &Graph, placement: &Placement, march: &March, requests: &Requests) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for (node, types) in &requests.types {
        let Some(row) = placement.nodes.iter().find(|n| n.name == *node) else { continue };
        for (key, wanted) in types {
            let missed = missed(graph, placement, row, key, wanted, march);
            out.extend(missed.map(|(what, hint)| {
                let d = warn(format!("{key} {wanted} was asked for, {what}")).node(node);
                if hint { d.hint(INSTEAD) } else { d }
            }));
        }
    }
    for (word, asked) in requests.optimization.iter().filter_map(|w| Some((w, Optimization::of(w)?))) {
        match asked {
            Optimization::Operator(op, ..) if placement.nodes.iter().all(|n| n.op != op) => {
                let what = format!("optimization {word}: the optimized graph has no {op}");
                out.push(warn(what).hint("`ptq check` lists operators"));
            }
            Optimization::Operator(op, side, "int16") => {
                let rows = placement.nodes.iter().filter(|n| n.op == op);
                let key = if side == Side::Input { "InputType" } else { "OutputType" };
                out.extend(summary(graph, placement, march, word, key, rows));
            }
            Optimization::AllInt16 => {
                let rows = placement.nodes.iter().filter(|n| n.on == Device::Bpu && !n.int32);
                out.extend(summary(graph, placement, march, word, "OutputType", rows));
            }
            Optimization::ModelOutput("int16") => {
                let made = |n: &&NodePlacement| {
                    let node = graph.find_node(&n.name).map(|id| graph.node(id));
                    node.is_some_and(|n| n.outputs.iter().any(|&v| graph.is_output(v)))
                };
                out.extend(summary(graph, placement, march, word, "OutputType", placement.nodes.iter().filter(made)));
            }
            _ => {}
        }
    }
    out
}

/// One warning for a word: which nodes do not have what it asks for, by reason.
fn summary<'p>(
    graph: &Graph,
    placement: &'p Placement,
    march: &March,
    word: &str,
    key: &str,
    rows: impl Iterator<Item = &'p NodePlacement>,
) -> Option<Diagnostic> {
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in rows {
        if let Some((what, _)) = missed(graph, placement, row, key, "int16", march) {
            reasons.entry(what).or_default().push(&row.name);
        }
    }
    let each = reasons.iter().map(|(what, nodes)| format!("{} ({what})", nodes.join(", ")));
    let what = each.collect::<Vec<_>>().join("; ");
    (!reasons.is_empty()).then(|| warn(format!("optimization {word}: not in 16 bits: {what}")).hint(INSTEAD))
}

/// What a node does not have of a requested type, and whether float would help.
fn missed(
    graph: &Graph,
    placement: &Placement,
    row: &NodePlacement,
    key: &str,
    wanted: &str,
    march: &March,
) -> Option<(String, bool)> {
    if row.on == Device::Cpu {
        let why = row.reason.as_ref().map_or(String::new(), |r| format!(": {} ({})", r.text, r.code));
        return Some((format!("it runs in float on the CPU{why}"), false));
    }
    // The node that computes an absorbed activation.
    let owner = match &row.absorbed_by {
        Some(name) => placement.nodes.iter().find(|n| n.name == *name)?,
        None => row,
    };
    let input = key.strip_prefix("InputType");
    let words = wanted == "int16";
    let has = match input {
        None => owner.int16_output,
        Some(_) if row.absorbed_by.is_some() => return None,
        Some("") => {
            let node = graph.node(graph.find_node(&row.name)?);
            let dynamic = |&(_, v): &(usize, &Option<ptq_ir::ValueId>)| v.is_some_and(|v| graph.constant(v).is_none());
            let mut all = node.inputs.iter().enumerate().filter(dynamic).map(|(i, _)| row.int16_inputs.contains(&i));
            if words { all.all(|has| has) } else { all.any(|has| has) }
        }
        Some(i) => i.parse().is_ok_and(|i: usize| row.int16_inputs.contains(&i)),
    };
    if has == words {
        return None;
    }
    if !words {
        return Some(("int16 is used: its operator has one width, and the other side has 16 bits".to_owned(), false));
    }
    let allowed = march.int16_of(&owner.op);
    let narrow = graph.find_node(&owner.name).and_then(|id| limit::narrow(march, graph, graph.node(id)));
    let could = if input.is_some() { allowed.input() } else { allowed.output() };
    let side = if input.is_some() { "input" } else { "output" };
    Some(match could {
        true if input.is_none() && narrow.is_some() => (format!("int8 is used: {}", narrow.unwrap_or_default()), true),
        _ if row.int32 && input.is_none() => ("int32 is kept at the model's tail".to_owned(), false),
        false => (format!("int8 is used: march {} has no {side} of {} in 16 bits", march.name, owner.op), true),
        true if input.is_some() => {
            ("int8 is used: what makes the value gives no 16 bits, here or on request".to_owned(), true)
        }
        true => ("int8 is used: the operator has one width, and its input has 8 bits".to_owned(), true),
    })
}

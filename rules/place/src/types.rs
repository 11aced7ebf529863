//! What placement says about requested data types and words of `optimization`. Called by `place`.
//!
//! Activations are 8-bit integers in this version. A request for 16 bits is never dropped silently: it is warned about with
//! what the march's table says of the operator.

use crate::requests::Optimization;
use crate::{NodePlacement, Placement, Requests};
use ptq_ir::{Device, Diagnostic};
use ptq_march::{Int16, March};

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

/// A warning for each requested type that the result does not have, and for each operator that the model does not have.
pub(crate) fn unfulfilled(placement: &Placement, march: &March, requests: &Requests) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for (node, types) in &requests.types {
        let Some(row) = placement.nodes.iter().find(|n| n.name == *node) else { continue };
        for (key, wanted) in types {
            out.extend(missed(row, key, wanted, march).map(|what| what.node(node)));
        }
    }
    for (word, asked) in requests.optimization.iter().filter_map(|w| Some((w, Optimization::of(w)?))) {
        match asked {
            Optimization::Operator(op, _) if placement.nodes.iter().all(|n| n.op != op) => {
                let what = format!("optimization {word}: the optimized graph has no {op}");
                out.push(Diagnostic::warning("PLACE23", what).hint("`ptq check` lists operators"));
            }
            Optimization::Operator(_, "int16") | Optimization::ModelOutput("int16") | Optimization::AllInt16 => {
                let what = format!("optimization {word}: this version has no 16-bit activations, int8 is used");
                out.push(Diagnostic::warning("PLACE23", what).hint(INSTEAD));
            }
            _ => {}
        }
    }
    out
}

const INSTEAD: &str = "keep the node on the CPU (float) where int8 loses too much: run_on_cpu";

/// What a node does not have of a requested type.
fn missed(row: &NodePlacement, key: &str, wanted: &str, march: &March) -> Option<Diagnostic> {
    let warn = |what: String| Diagnostic::warning("PLACE23", what);
    if row.on == Device::Cpu {
        let why = row.reason.as_ref().map_or(String::new(), |r| format!(": {} ({})", r.text, r.code));
        return Some(warn(format!("{key} {wanted} was asked for, it runs in float on the CPU{why}")));
    }
    if wanted != "int16" {
        return None;
    }
    let input = key.starts_with("InputType");
    let table = march.op.get(&row.op).map_or(Int16::None, |e| e.int16);
    let could =
        march.quantization.int16 && (table == Int16::Both || table == if input { Int16::In } else { Int16::Out });
    let march = match could {
        true => format!("march {} could, this version has no 16-bit activations", march.name),
        false => {
            format!("march {} has no {} of {} in 16 bits", march.name, if input { "input" } else { "output" }, row.op)
        }
    };
    Some(warn(format!("{key} int16 was asked for, int8 is used: {march}")).hint(INSTEAD))
}

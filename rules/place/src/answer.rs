//! What placement says about requests: unknown names, requests without effect, and what they cost. Called by `place`.

use crate::{Placement, Requests, nearest};
use ptq_ir::{Diagnostic, Graph};

/// An error for each requested name that is no node of the graph.
pub(crate) fn unknown(graph: &Graph, requests: &Requests) -> Vec<Diagnostic> {
    let absent = requests.names().into_iter().filter(|n| graph.find_node(n).is_none());
    absent
        .map(|name| {
            let close = nearest(name, graph.nodes().map(|(_, n)| n.name.as_str()));
            let did = close.map(|c| format!("did you mean {c}? ")).unwrap_or_default();
            Diagnostic::error("PLACE20", "a request names a node that the optimized graph does not have")
                .node(name)
                .hint(format!("{did}`ptq check` lists the node names; fusion may have folded this one into another"))
        })
        .collect()
}

/// A warning for each node that two lists put on two devices.
pub(crate) fn contradictory(requests: &Requests) -> Vec<Diagnostic> {
    let both = |n: &&str| [&requests.run_on_bpu, &requests.run_on_cpu].iter().all(|list| list.iter().any(|m| m == *n));
    let undecided = requests.names().into_iter().filter(both).filter(|n| !requests.on.contains_key(*n));
    undecided
        .map(|name| {
            Diagnostic::warning("PLACE25", "run_on_bpu and run_on_cpu both name it; run_on_cpu wins")
                .node(name)
                .hint("remove it from one of the two lists")
        })
        .collect()
}

/// A warning for each request that another rule overruled, with that rule's reason.
pub(crate) fn unfulfilled(placement: &Placement, requests: &Requests) -> Vec<Diagnostic> {
    let asked = requests.names().into_iter().filter_map(|name| Some((name, requests.device(name)?)));
    asked
        .filter_map(|(name, asked)| {
            let row = placement.nodes.iter().find(|n| n.name == name && n.on != asked)?;
            let reason = row.reason.as_ref();
            let why = reason.map_or(String::new(), |r| format!("{} ({})", r.text, r.code));
            let d = Diagnostic::warning("PLACE21", format!("asked for {asked}, runs on {}: {why}", row.on)).node(name);
            Some(match reason {
                Some(r) => d.hint(r.remedy.clone()),
                None => d,
            })
        })
        .collect()
}

/// A tail node that gives 8 bits because the march gives no more.
pub(crate) fn narrow_output(conv: &str, output: &str, why: &str) -> Diagnostic {
    let what = format!("output {output} has 256 levels: {conv} gives int8 instead of int32, because {why}");
    Diagnostic::warning("PLACE27", what).node(conv).hint(format!("run_on_cpu = [\"{conv}\"] computes it in float"))
}

/// The price of running a node behind the tail Conv on the BPU; with `finds`, the output holds places or truths.
pub(crate) fn coarser_output(node: &str, conv: &str, output: &str, words: bool, finds: bool) -> Diagnostic {
    let (dtype, levels) = if words { ("int16", "65,536") } else { ("int8", "256") };
    let what = match finds {
        true => format!(
            "on request, {conv} gives {dtype} instead of int32, so {output} tells values apart by {levels} levels"
        ),
        false => format!("on request, {conv} gives {dtype} instead of int32, so output {output} has {levels} levels"),
    };
    Diagnostic::warning("PLACE22", what).node(node).hint(format!("without the request {conv} keeps int32 precision"))
}

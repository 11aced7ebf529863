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

/// The price of running a node behind the tail Conv on the BPU.
pub(crate) fn coarser_output(node: &str, conv: &str, output: &str, words: bool) -> Diagnostic {
    let (dtype, levels) = if words { ("int16", "65,536") } else { ("int8", "256") };
    let what = format!("on request, {conv} gives {dtype} instead of int32, so output {output} has {levels} levels");
    Diagnostic::warning("PLACE22", what).node(node).hint(format!("without the request {conv} keeps int32 precision"))
}

//! PLACE05 manual.

use crate::Reason;
use crate::entry::entry;
use ptq_ir::{Device, Graph, Node};
use ptq_march::{Class, March};
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE05` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE05",
    name: "manual",
    summary: "An operator of class manual runs on the CPU until asked.",
    why: "It costs accuracy on the BPU; the user decides.",
    example: "Softmax -> CPU (manual: add it to run_on_bpu)",
    since: "0.1.0",
};

/// The reason for a manual operator that nobody asked for.
pub(crate) fn reason(march: &March, graph: &Graph, node: &Node, requested: Option<Device>) -> Option<Reason> {
    let manual = entry(march, graph, node).is_some_and(|e| e.class == Class::Manual);
    (manual && requested != Some(Device::Bpu)).then(|| {
        Reason::new(
            META.code,
            format!("{} is quantized only on request on march {}", node.op, march.name),
            format!("run_on_bpu = [\"{}\"]", node.name),
        )
    })
}

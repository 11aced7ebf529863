//! PLACE06 requested-cpu.

use crate::Reason;
use ptq_ir::{Device, Node};
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE06` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE06",
    name: "requested-cpu",
    summary: "A node that the manifest puts on the CPU runs there.",
    why: "The user's word wins over every default.",
    example: "run_on_cpu = [\"conv1\"] -> conv1 on the CPU",
    since: "0.1.0",
};

/// The reason for a node that the manifest keeps on the CPU.
pub(crate) fn reason(node: &Node, requested: Option<Device>) -> Option<Reason> {
    (requested == Some(Device::Cpu)).then(|| {
        Reason::new(
            META.code,
            format!("the manifest keeps {} on the CPU (run_on_cpu or nodes.{}.on)", node.name, node.name),
            format!("remove {} from run_on_cpu and nodes.{}.on", node.name, node.name),
        )
    })
}

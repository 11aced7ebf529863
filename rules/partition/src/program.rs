//! From a placed graph to the integer program, node by node.

use crate::builder::Builder;
use crate::lower;
use ptq_ir::{Device, Diagnostic, Graph, QGraph, QuantTable, ValueId};
use ptq_march::March;
use ptq_place::Placement;
use std::collections::BTreeSet;

/// Makes the integer program of a graph under a placement, with the scales and the corrected constants of `quant`. Model inputs and
/// outputs in `bare` have no border: they carry integers.
///
/// # Errors
/// Every accelerated node that cannot be expressed, by name.
pub fn partition(
    graph: &Graph,
    march: &March,
    placement: &Placement,
    quant: &QuantTable,
    bare: &BTreeSet<ValueId>,
) -> Result<QGraph, Vec<Diagnostic>> {
    let graph = &*quant.corrected(graph);
    let mut builder = Builder::new(graph, march, placement, quant, bare);
    let mut problems = Vec::new();
    for (id, _) in graph.nodes() {
        let row = &placement.nodes[id.0 as usize];
        if row.absorbed_by.is_some() {
            continue;
        }
        match row.on {
            Device::Cpu => builder.cpu_node(id),
            Device::Bpu => problems.extend(lower::node(&mut builder, id, row.int32).err()),
        }
    }
    if problems.is_empty() { Ok(builder.finish()) } else { Err(problems) }
}

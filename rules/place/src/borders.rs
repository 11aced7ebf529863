//! Borders: values that change between float and integers, and what that costs. Called by `ptq check`.
//!
//! A border runs on the CPU and touches every element once, so its cost is proportional to the value's volume.

use crate::{NodePlacement, Placement};
use ptq_ir::{DType, Device, Graph, NodeId, ValueId};
use serde::Serialize;

/// A value that is quantized or dequantized between two devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Border {
    /// The value.
    pub value: String,
    /// `Quantize` in front of the BPU, `Dequantize` behind it.
    pub kind: &'static str,
    /// The node that makes the value; none for a model input.
    pub producer: Option<String>,
    /// Elements, which is also the number of conversions.
    pub elements: u64,
    /// Bytes read and written: 4 for a float, 1 for an int8, 4 for an int32.
    pub bytes: u64,
}

/// Every border of a placement: by node of the graph, a node's own inputs before its results.
pub fn borders(graph: &Graph, placement: &Placement) -> Vec<Border> {
    let producers = graph.producers();
    let consumers = graph.consumers();
    let row = |id: NodeId| &placement.nodes[id.0 as usize];
    let on_bpu = |id: NodeId| row(id).on == Device::Bpu;
    let border = |v: ValueId, kind, integer_bytes: u64| {
        let value = graph.value(v);
        let elements = value.shape.iter().map(|&d| d as u64).product::<u64>();
        Border {
            value: value.name.clone(),
            kind,
            producer: producers[v.0 as usize].map(|p| graph.node(p).name.clone()),
            elements,
            bytes: elements * (4 + integer_bytes),
        }
    };
    let mut quantized = vec![false; graph.values.len()];
    let mut out = Vec::new();
    for (id, node) in graph.nodes().filter(|(id, _)| on_bpu(*id)) {
        for &v in node.inputs.iter().flatten() {
            let float = producers[v.0 as usize].is_none_or(|p| !on_bpu(p));
            if float && graph.constant(v).is_none() && !std::mem::replace(&mut quantized[v.0 as usize], true) {
                out.push(border(v, "Quantize", 1));
            }
        }
        for &v in &node.outputs {
            let read = graph.is_output(v) || consumers[v.0 as usize].iter().any(|&c| !on_bpu(c));
            if read {
                out.push(border(v, "Dequantize", stored_bytes(row(id))));
            }
        }
    }
    out
}

fn stored_bytes(row: &NodePlacement) -> u64 {
    let dtype = if row.int32 { DType::I32 } else { DType::I8 };
    dtype.bytes() as u64
}

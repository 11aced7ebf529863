//! Integer program → model.

use crate::lowering;
use crate::segment::{SegmentNodes, split};
use crate::{Report, Search};
use ptq_ir::{Device, Diagnostic, QGraph, QNode, QTensor, TensorId};
use ptq_march::March;
use ptq_sim::artifact::{Body, Model, Segment};
use ptq_sim::check::{CheckError, check_node, check_tensor};
use std::collections::BTreeSet;

/// Compiles an integer program for a march. `march_hash` is recorded in the model. The report sums up all segments.
///
/// # Errors
/// Every node that is inconsistent, or that does not fit the accelerator's memory, by name.
pub fn compile(
    graph: &QGraph,
    march: &March,
    march_hash: [u8; 32],
    search: &Search,
) -> Result<(Model, Report), Vec<Diagnostic>> {
    check(graph, march)?;
    let hardware = march.hardware.as_ref();
    let mut problems = Vec::new();
    let mut report = Report::default();
    let mut segments = Vec::new();
    let mut kept: BTreeSet<TensorId> = graph.inputs.iter().chain(&graph.outputs).copied().collect();
    for (parts, segment) in split(graph).into_iter().zip(&graph.segments) {
        let body = match (segment.device, hardware) {
            (Device::Bpu, Some(hardware)) => match lowering::lower(graph, &parts, hardware, search) {
                Ok((npu, found)) => {
                    report += found;
                    Body::Npu(npu)
                }
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            },
            (device, _) => {
                kept.extend(parts.nodes.iter().flat_map(|n| n.inputs.iter().copied()));
                let nodes: Vec<QNode> = parts.nodes.iter().map(|&n| n.clone()).collect();
                if device == Device::Cpu { Body::Float(nodes) } else { Body::Int(nodes) }
            }
        };
        let SegmentNodes { inputs, outputs, .. } = parts;
        segments.push(Segment { device: segment.device, subgraph: segment.subgraph, inputs, outputs, body });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let model = Model {
        name: graph.name.clone(),
        march: graph.march.clone(),
        march_hash,
        rounding: graph.rounding,
        optimize_level: search.level.name().to_owned(),
        tensors: tensors(graph, &kept),
        inputs: graph.inputs.clone(),
        input_specs: Vec::new(),
        outputs: graph.outputs.clone(),
        segments,
    };
    model.check().map_err(|e| vec![Diagnostic::error("COMP05", e.to_string())])?;
    Ok((model, report))
}

/// All tensors; data only where a float or integer node reads it.
fn tensors(graph: &QGraph, kept: &BTreeSet<TensorId>) -> Vec<QTensor> {
    let keep = |(i, t): (usize, &QTensor)| match kept.contains(&TensorId(i as u32)) {
        true => t.clone(),
        false => QTensor { data: None, ..t.clone() },
    };
    graph.tensors.iter().enumerate().map(keep).collect()
}

fn check(graph: &QGraph, march: &March) -> Result<(), Vec<Diagnostic>> {
    if graph.march != march.name || graph.rounding != march.quantization.rounding {
        let message = format!(
            "the integer program is for march {} with {:?} rounding, not for {} with {:?}",
            graph.march, graph.rounding, march.name, march.quantization.rounding
        );
        return Err(vec![Diagnostic::error("COMP06", message)]);
    }
    let bad = |e: CheckError| Diagnostic::error("COMP05", e.what).node(e.owner);
    let mut problems: Vec<Diagnostic> = graph.tensors.iter().filter_map(|t| check_tensor(t).err()).map(bad).collect();
    for node in &graph.nodes {
        problems.extend(check_node(node, &graph.tensors).err().map(bad));
        if node.segment.0 as usize >= graph.segments.len() {
            problems.push(Diagnostic::error("COMP05", "belongs to a segment that does not exist").node(&node.name));
        }
    }
    let ids = graph.inputs.iter().chain(&graph.outputs);
    if ids.into_iter().any(|id| id.0 as usize >= graph.tensors.len()) {
        problems.push(Diagnostic::error("COMP05", "a model input or output does not exist"));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

//! Integer program → model.

use crate::division::Followed;
use crate::lowering;
use crate::segment::{SegmentNodes, split};
use crate::{CostTable, Report, Search};
use ptq_ir::{Device, Diagnostic, QGraph, QNode, QTensor, TensorId};
use ptq_march::March;
use ptq_sim::artifact::{Body, LayerPlan, Model, Npu, Segment};
use ptq_sim::check::{CheckError, check_node, check_tensor};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What compile does apart from the search.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Plans to follow without a search, one for each program of the model, in order.
    pub replay: Option<&'a [Followed]>,
    /// Leave names, operators and tiles of layers away.
    pub without_debug: bool,
    /// Threads; never changes the result.
    pub threads: usize,
    /// What groups cost on this march's hardware, as far as it is known: read and extended, never a part of the result.
    pub costs: Option<&'a Mutex<CostTable>>,
}

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
    compile_with(graph, march, march_hash, search, &Options::default())
}

/// [`compile`] with options.
///
/// # Errors
/// As [`compile`]; and when a plan to follow does not fit.
pub fn compile_with(
    graph: &QGraph,
    march: &March,
    march_hash: [u8; 32],
    search: &Search,
    options: &Options<'_>,
) -> Result<(Model, Report), Vec<Diagnostic>> {
    check(graph, march)?;
    check_cores(march, search)?;
    let parts = split(graph);
    let mut problems = Vec::new();
    let mut report = Report::default();
    let mut segments = Vec::new();
    let mut kept: BTreeSet<TensorId> = graph.inputs.iter().chain(&graph.outputs).copied().collect();
    let mut programs = programs(graph, march, &parts, search, options)?.into_iter();
    for (parts, segment) in parts.into_iter().zip(&graph.segments) {
        let body = match (segment.device, &march.hardware) {
            (Device::Bpu, Some(_)) => match programs.next() {
                Some(Ok((mut npu, found))) => {
                    report += found;
                    if options.without_debug {
                        strip(&mut npu);
                    }
                    Body::Npu(npu)
                }
                Some(Err(found)) => {
                    problems.extend(found);
                    continue;
                }
                None => continue,
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
        debug: !options.without_debug,
        tensors: tensors(graph, &kept),
        inputs: graph.inputs.clone(),
        input_specs: Vec::new(),
        outputs: graph.outputs.clone(),
        segments,
    };
    model.check().map_err(|e| vec![Diagnostic::error("COMP05", e.to_string())])?;
    Ok((model, report))
}

/// A program and what its search did, or why there is none.
type Lowered = Result<(Npu, Report), Vec<Diagnostic>>;

/// The programs of all BPU segments in order, each by itself on one of the threads.
fn programs(
    graph: &QGraph,
    march: &March,
    parts: &[SegmentNodes<'_>],
    search: &Search,
    options: &Options<'_>,
) -> Result<Vec<Lowered>, Vec<Diagnostic>> {
    let Some(hardware) = &march.hardware else { return Ok(Vec::new()) };
    let on_bpu: Vec<&SegmentNodes<'_>> =
        parts.iter().zip(&graph.segments).filter(|(_, s)| s.device == Device::Bpu).map(|(p, _)| p).collect();
    if let Some(plans) = options.replay
        && plans.len() != on_bpu.len()
    {
        let message = format!("the plan to replay is for {} BPU segments, the model has {}", plans.len(), on_bpu.len());
        return Err(vec![Diagnostic::error("COMP11", message).hint("take the plan of a model built from this graph")]);
    }
    let one = |i: usize| {
        let replay = options.replay.and_then(|plans| plans.get(i));
        lowering::lower(graph, on_bpu[i], hardware, search, replay, options.costs)
    };
    let threads = options.threads.clamp(1, on_bpu.len().max(1));
    let worker = |first: usize| (first..on_bpu.len()).step_by(threads).map(|i| (i, one(i))).collect::<Vec<_>>();
    let mut all: Vec<(usize, Lowered)> = std::thread::scope(|scope| {
        let started: Vec<_> = (1..threads).map(|first| scope.spawn(move || worker(first))).collect();
        let own = worker(0);
        let joined = started.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(joined).flatten().collect()
    });
    all.sort_by_key(|(i, _)| *i);
    Ok(all.into_iter().map(|(_, lowered)| lowered).collect())
}

/// Takes away what tells of the layers.
fn strip(npu: &mut Npu) {
    for (i, layer) in npu.plan.iter_mut().enumerate() {
        *layer = LayerPlan { node: format!("layer_{i}"), op: String::new(), tile: Vec::new() };
    }
    npu.program.layers = npu.plan.iter().map(|l| l.node.clone()).collect();
}

/// A run cannot use more cores than there are.
fn check_cores(march: &March, search: &Search) -> Result<(), Vec<Diagnostic>> {
    let there = march.hardware.as_ref().map_or(u32::MAX, |h| h.cores);
    if u32::from(search.spread.cores) <= there {
        return Ok(());
    }
    let message = format!("core_num is {}, march {} has {there}", search.spread.cores, march.name);
    Err(vec![Diagnostic::error("COMP10", message).hint(format!("set compile.core_num to at most {there}"))])
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

//! What leaving the BPU costs: each CPU piece of a model with its nodes, borders and the layout conversions beside it.

use ptq_ir::{Device, TensorId};
use ptq_place::Place;
use ptq_runtime::{Model, Profile, RowKind};
use ptq_sim::artifact::{Body, Segment};

/// A CPU piece of a model; mean times of a frame in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Position of the segment in the model.
    pub segment: usize,
    /// Where it lies.
    pub place: Place,
    /// Its CPU nodes, borders not among them.
    pub nodes: Vec<String>,
    /// Quantize and Dequantize nodes.
    pub borders: Vec<String>,
    /// Elements that these convert.
    pub elements: u64,
    /// CPU nodes.
    pub cpu: f64,
    /// Quantize and Dequantize.
    pub border: f64,
    /// Layout conversions of the BPU segments beside it.
    pub layout: f64,
}

impl Cut {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.cpu + self.border + self.layout
    }

    /// Nodes and work in words.
    pub(super) fn describe(&self) -> String {
        let nodes = match &self.nodes[..] {
            [] => "no CPU nodes".to_owned(),
            [one] => one.clone(),
            [first, .., last] => format!("{first} to {last} ({} nodes)", self.nodes.len()),
        };
        format!("{nodes} with {} borders of {} elements", self.borders.len(), self.elements)
    }
}

/// Every CPU piece in order of the run.
pub(super) fn cuts(model: &Model, profile: &Profile) -> Vec<Cut> {
    let segments = &model.artifact().segments;
    let mut out: Vec<Cut> = segments.iter().enumerate().filter_map(|(at, s)| piece(model, segments, at, s)).collect();
    for row in profile.rows() {
        let time = row.time.mean();
        let owner = match row.kind {
            RowKind::Segment | RowKind::Layer => None,
            RowKind::Cpu | RowKind::Quantize | RowKind::Dequantize => Some(row.segment),
            RowKind::InputLayout => neighbour(segments, row.segment, |cpu, bpu| meets(&cpu.outputs, &bpu.inputs)),
            RowKind::OutputLayout => neighbour(segments, row.segment, |cpu, bpu| meets(&bpu.outputs, &cpu.inputs)),
        };
        let Some(cut) = out.iter_mut().find(|c| Some(c.segment) == owner) else { continue };
        match row.kind {
            RowKind::Cpu => cut.cpu += time,
            RowKind::Quantize | RowKind::Dequantize => cut.border += time,
            _ => cut.layout += time,
        }
    }
    out
}

fn meets(made: &[TensorId], read: &[TensorId]) -> bool {
    made.iter().any(|id| read.contains(id))
}

/// The CPU segment nearest to a BPU segment that this holds for.
fn neighbour(segments: &[Segment], at: usize, touches: fn(&Segment, &Segment) -> bool) -> Option<usize> {
    let bpu = segments.get(at)?;
    let on_cpu = segments.iter().enumerate().filter(|(_, s)| s.device == Device::Cpu && touches(s, bpu));
    on_cpu.min_by_key(|(i, _)| i.abs_diff(at)).map(|(i, _)| i)
}

fn piece(model: &Model, segments: &[Segment], at: usize, segment: &Segment) -> Option<Cut> {
    let Body::Float(nodes) = &segment.body else { return None };
    let on_bpu = || segments.iter().filter(|s| s.device == Device::Bpu);
    let before = on_bpu().any(|s| meets(&s.outputs, &segment.inputs));
    let after = on_bpu().any(|s| meets(&segment.outputs, &s.inputs));
    let is_border = |n: &&ptq_ir::QNode| matches!(n.op, ptq_ir::QOp::Quantize | ptq_ir::QOp::Dequantize);
    let elements = |n: &ptq_ir::QNode| {
        let shape = n.outputs.first().and_then(|id| model.artifact().tensors.get(id.0 as usize)).map(|t| &t.shape);
        shape.map_or(0, |s| s.iter().map(|&d| d as u64).product())
    };
    Some(Cut {
        segment: at,
        place: Place::of(before, after),
        nodes: nodes.iter().filter(|n| !is_border(n)).map(|n| n.name.clone()).collect(),
        borders: nodes.iter().filter(is_border).map(|n| n.name.clone()).collect(),
        elements: nodes.iter().filter(is_border).map(elements).sum(),
        cpu: 0.0,
        border: 0.0,
        layout: 0.0,
    })
}

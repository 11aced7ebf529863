//! One row a layer of a program, node and border: when it runs, what it costs, what limits it, whose results it reads.

use super::advice::{self, Advice};
use super::{frames, host, ratio};
use ptq_ir::{QNode, QOp, TensorId, numel};
use ptq_march::Hardware;
use ptq_sim::artifact::{Model, Npu, Segment};
use ptq_sim::timing::{Timing, losses};
use ptq_sim::{Command, Maker, makers};
use std::collections::BTreeMap;
use std::ops::Range;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A layer of a program, on the BPU.
    Layer,
    /// A node on the CPU.
    Node,
    /// A border in front of the BPU, on the CPU.
    Quantize,
    /// A border behind the BPU, on the CPU.
    Dequantize,
}

impl RowKind {
    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            RowKind::Layer => "layer",
            RowKind::Node => "node",
            RowKind::Quantize => "quantize",
            RowKind::Dequantize => "dequantize",
        }
    }

    /// The device.
    pub fn on(self) -> &'static str {
        if self == RowKind::Layer { "BPU" } else { "CPU" }
    }
}

/// One row. Times in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct PerfRow {
    /// Name of the node; of a layer of a model compiled without details `layer_<n>`.
    pub name: String,
    /// Operator; empty without details.
    pub op: String,
    /// What it is.
    pub kind: RowKind,
    /// Position of the segment in the model.
    pub segment: usize,
    /// Id shown as `id(n)`; none on the CPU.
    pub subgraph: Option<u32>,
    /// Rows whose results it reads.
    pub from: Vec<usize>,
    /// When its first command starts.
    pub start_us: f64,
    /// When its last command ends.
    pub end_us: f64,
    /// Its part of the run: parts of all rows sum up to the whole.
    pub time_us: f64,
    /// Computing units are busy with it.
    pub compute_us: f64,
    /// It occupies the connection to DDR with loads.
    pub load_us: f64,
    /// It occupies the connection to DDR with stores.
    pub store_us: f64,
    /// Bytes from DDR; nv12 frames as they arrive.
    pub loaded_bytes: u64,
    /// Bytes to DDR.
    pub stored_bytes: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// What no program can beat for this work.
    pub bound_us: f64,
    /// What limits it: `compute`, `load`, `store`, `latency` or `cpu`; `nothing` for a layer without commands.
    pub limit: &'static str,
    /// What makes it slower than its bound.
    pub advice: Vec<Advice>,
}

impl PerfRow {
    /// The time that it occupies what limits it.
    pub fn own_us(&self) -> f64 {
        match self.kind {
            RowKind::Layer => self.compute_us.max(self.load_us + self.store_us),
            _ => self.time_us,
        }
    }

    /// Bound in parts of the own time; 1 where nothing is to do.
    pub fn efficiency(&self) -> f64 {
        if self.own_us() > 0.0 { ratio(self.bound_us, self.own_us()).min(1.0) } else { 1.0 }
    }
}

/// Rows under construction, in order of the run.
pub(super) struct Rows<'a> {
    model: &'a Model,
    hardware: &'a Hardware,
    now: f64,
    rows: Vec<PerfRow>,
    /// The row that made each tensor.
    made: BTreeMap<TensorId, usize>,
    /// Tensors that hold an expanded nv12 frame.
    expanded: Vec<TensorId>,
    saved: u64,
}

impl<'a> Rows<'a> {
    pub(super) fn new(model: &'a Model, hardware: &'a Hardware) -> Rows<'a> {
        let expanded = frames::expanded(model);
        Rows { model, hardware, now: 0.0, rows: Vec::new(), made: BTreeMap::new(), expanded, saved: 0 }
    }

    /// Microseconds of the run so far.
    pub(super) fn now(&self) -> f64 {
        self.now
    }

    /// All rows, and the bytes that nv12 frames save.
    pub(super) fn finish(self) -> (Vec<PerfRow>, u64) {
        (self.rows, self.saved)
    }

    fn range(&self, tensor: TensorId, address: u32) -> Range<u64> {
        let t = self.model.tensors.get(tensor.0 as usize);
        let bytes = t.map_or(0, |t| numel(&t.shape).unwrap_or(0) * t.dtype.bytes()) as u64;
        u64::from(address)..u64::from(address) + bytes
    }

    /// Half of the bytes that each layer loads of expanded nv12 frames: three full planes are simulated, N·H·W·3/2 arrive.
    fn nv12(&self, npu: &Npu) -> Vec<u64> {
        let frames = npu.placed.iter().filter(|p| p.layer.is_none() && self.expanded.contains(&p.tensor));
        let frames: Vec<Range<u64>> = frames.map(|p| self.range(p.tensor, p.address)).collect();
        let mut out = vec![0; npu.program.layers.len()];
        for record in &npu.program.commands {
            if let (Command::Load(t), Some(saved)) = (&record.command, out.get_mut(usize::from(record.layer)))
                && frames.iter().any(|f| f.contains(&u64::from(t.ddr.0)))
            {
                *saved += t.total_bytes() / 2;
            }
        }
        out
    }

    /// Adds the layers of a program.
    pub(super) fn program(&mut self, at: usize, segment: &Segment, npu: &Npu, timing: &Timing) {
        let us = |cycles: u64| cycles as f64 / f64::from(self.hardware.clock_mhz);
        let given: Vec<_> = npu.placed.iter().filter(|p| p.layer.is_none()).collect();
        let ranges: Vec<Range<u64>> = given.iter().map(|p| self.range(p.tensor, p.address)).collect();
        let (makers, losses, saved) =
            (makers(&npu.program, &ranges), losses(&npu.program, self.hardware), self.nv12(npu));
        let first = self.rows.len();
        let mut end = 0;
        for (i, (plan, l)) in npu.plan.iter().zip(&timing.layers).enumerate() {
            let from = makers[i].iter().filter_map(|m| match m {
                Maker::Layer(layer) => Some(first + usize::from(*layer)),
                Maker::Input(input) => self.made.get(&given[*input].tensor).copied(),
            });
            // A layer without commands renames what lies at the same place.
            let same = npu.placed.iter().find(|p| p.layer == Some(i as u16)).and_then(|own| {
                let before = |p: &&ptq_sim::artifact::Placed| {
                    p.address == own.address && p.layer.is_none_or(|l| usize::from(l) < i)
                };
                npu.placed.iter().rev().find(before)
            });
            let renamed = same.filter(|_| makers[i].is_empty()).and_then(|p| match p.layer {
                Some(layer) => Some(first + usize::from(layer)),
                None => self.made.get(&p.tensor).copied(),
            });
            let from = from.chain(renamed);
            // A layer without commands stands where the one before it has ended.
            let idle = l.end == 0;
            end = if idle { end } else { l.end };
            let start = if idle { end } else { l.start };
            let mut row = PerfRow {
                name: plan.node.clone(),
                op: plan.op.clone(),
                kind: RowKind::Layer,
                segment: at,
                subgraph: segment.subgraph,
                from: from.collect(),
                start_us: self.now + us(start),
                end_us: self.now + us(end),
                time_us: us(l.share),
                compute_us: us(l.compute),
                load_us: us(l.load),
                store_us: us(l.store),
                loaded_bytes: l.loaded_bytes - saved[i].min(l.loaded_bytes),
                stored_bytes: l.stored_bytes,
                macs: l.macs,
                bound_us: us(l.bound.cycles()),
                limit: "nothing",
                advice: Vec::new(),
            };
            row.limit = advice::limit(&row);
            row.advice = advice::of(&row, &losses[i], f64::from(self.hardware.clock_mhz));
            self.rows.push(row);
        }
        self.saved += saved.iter().sum::<u64>();
        for p in &npu.placed {
            if let Some(layer) = p.layer {
                self.made.insert(p.tensor, first + usize::from(layer));
            }
        }
        self.now += us(timing.cycles);
    }

    /// Adds nodes and borders on the CPU.
    pub(super) fn nodes(&mut self, at: usize, segment: &Segment, nodes: &[QNode]) {
        for node in nodes {
            let kind = match node.op {
                QOp::Quantize => RowKind::Quantize,
                QOp::Dequantize => RowKind::Dequantize,
                _ => RowKind::Node,
            };
            let (macs, time) = host::cost(node, &self.model.tensors);
            let mut from: Vec<usize> = node.inputs.iter().filter_map(|id| self.made.get(id).copied()).collect();
            from.sort_unstable();
            from.dedup();
            self.made.extend(node.outputs.iter().map(|&id| (id, self.rows.len())));
            self.rows.push(PerfRow {
                name: node.name.clone(),
                op: node.op.name().to_owned(),
                kind,
                segment: at,
                subgraph: segment.subgraph,
                from,
                start_us: self.now,
                end_us: self.now + time,
                time_us: time,
                compute_us: time,
                load_us: 0.0,
                store_us: 0.0,
                loaded_bytes: 0,
                stored_bytes: 0,
                macs,
                bound_us: 0.0,
                limit: "cpu",
                advice: Vec::new(),
            });
            self.now += time;
        }
    }
}

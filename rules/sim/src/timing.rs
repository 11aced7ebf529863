//! The timed simulator: how long a program takes, command by command, on a target's figures.
//!
//! An event model. Four queues (load, matrix unit, vector unit, store) run beside each other, each in order; a command
//! starts when its queue is free and its waits are over (`order`). SYNC waits for everything. Loads and stores share one
//! connection to DDR and take it in the order in which they are ready; issuing a transfer overlaps with the transfer
//! before it, its latency with everything but the commands that wait for it. What a command costs by itself is in
//! `cost`. [`Timing::of`] is the whole answer; [`schedule`] gives only starts and ends, for a search.
//!
//! Predictions are never below [`Bound`]: a matrix unit that is always full, a connection that moves each needed byte
//! once. Results are cycles of the target's clock; nothing depends on the machine that computes them.

mod array;
mod bound;
mod cost;
mod losses;
mod schedule;

pub use bound::Bound;
pub use cost::{Cost, cost};
pub use losses::{Loss, Occupied, losses};
pub use schedule::{Span, schedule};

use crate::artifact::{Model, Npu, Segment};
use crate::{Command, Program};
use bound::Bytes;
use ptq_ir::{TensorId, numel};
use ptq_march::Hardware;
use std::ops::Range;

/// What one layer of a program costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerTiming {
    /// First cycle of any of its commands.
    pub start: u64,
    /// Cycle behind the last of its commands.
    pub end: u64,
    /// Cycles of the program's total that pass until this layer's commands finish, counted once: the shares of all
    /// layers sum up to the total.
    pub share: u64,
    /// Cycles in which a computing unit is busy with it.
    pub compute: u64,
    /// Cycles in which it occupies the connection to DDR with loads.
    pub load: u64,
    /// Cycles in which it occupies the connection to DDR with stores.
    pub store: u64,
    /// Bytes from DDR.
    pub loaded_bytes: u64,
    /// Bytes to DDR.
    pub stored_bytes: u64,
    /// Multiply-accumulates, taps in the padding included.
    pub macs: u64,
    /// What no program can beat for this layer's work and constants.
    pub bound: Bound,
}

/// How long a program takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Cycles from start to end.
    pub cycles: u64,
    /// One for each command, in order.
    pub spans: Vec<Span>,
    /// One for each layer of the program, in order.
    pub layers: Vec<LayerTiming>,
    /// Bytes from DDR.
    pub loaded_bytes: u64,
    /// Bytes to DDR.
    pub stored_bytes: u64,
    /// Multiply-accumulates, taps in the padding included.
    pub macs: u64,
    /// Multiply-accumulates of all lanes that are occupied, padding included.
    pub working_macs: f64,
    /// Cycles of each function call, in order; they sum up to the whole.
    pub calls: Vec<u64>,
    /// Cores that the program uses.
    pub cores: u8,
    /// Cycles that cores spend on meeting each other; none of a single core.
    pub multicore_sync: u64,
    /// Cycles that no program for this work can beat on as many cores.
    pub bound: Bound,
}

impl Timing {
    /// Times a program. `outputs` are the DDR ranges that somebody reads afterwards: only their stores are needed.
    pub fn of(program: &Program, outputs: &[Range<u64>], hardware: &Hardware) -> Timing {
        let spans = schedule(&program.commands, hardware);
        let mut layers = vec![LayerTiming { start: u64::MAX, ..LayerTiming::default() }; program.layers.len()];
        let mut needed: Vec<Bytes> = vec![Bytes::default(); program.layers.len()];
        let mut ideal = vec![0.0; program.layers.len()];
        let mut working_macs = 0.0;
        let mut whole = Bytes::default();
        let mut stored = Bytes::default();
        for (record, span) in program.commands.iter().zip(&spans) {
            let layer = usize::from(record.layer);
            let (Some(l), Some(_)) = (layers.get_mut(layer), span.queue) else { continue };
            (l.start, l.end) = (l.start.min(span.start), l.end.max(span.end));
            match &record.command {
                Command::Load(t) => {
                    l.load += span.busy;
                    l.loaded_bytes += t.total_bytes();
                    if !stored.touches(t.ddr_range()) {
                        needed[layer].add_runs(t);
                        whole.add_runs(t);
                    }
                }
                Command::Store(t) => {
                    l.store += span.busy;
                    l.stored_bytes += t.total_bytes();
                    stored.add(t.ddr_range());
                    if outputs.iter().any(|o| o.start < t.ddr_range().end && t.ddr_range().start < o.end) {
                        needed[layer].add_runs(t);
                        whole.add_runs(t);
                    }
                }
                command => {
                    let c = cost(command, hardware);
                    l.compute += span.busy;
                    l.macs += c.macs;
                    ideal[layer] += c.ideal_mac;
                    working_macs += c.working_macs;
                }
            }
        }
        share(program, &spans, &mut layers);
        for ((l, bytes), ideal) in layers.iter_mut().zip(&needed).zip(&ideal) {
            l.start = l.start.min(l.end);
            l.bound = Bound::new(*ideal, bytes.total(), hardware);
        }
        let sum = |f: fn(&LayerTiming) -> u64| layers.iter().map(f).sum();
        let cores = program.cores();
        let met = program.commands.iter().zip(&spans).filter(|(r, _)| cores > 1 && r.command == Command::Sync);
        Timing {
            multicore_sync: met.map(|(_, s)| s.end - s.start).sum(),
            calls: calls(program, &spans),
            cores,
            working_macs,
            cycles: spans.iter().map(|s| s.end).max().unwrap_or(0),
            loaded_bytes: sum(|l| l.loaded_bytes),
            stored_bytes: sum(|l| l.stored_bytes),
            macs: sum(|l| l.macs),
            bound: Bound::new(ideal.iter().sum::<f64>() / f64::from(cores), whole.total(), hardware),
            spans,
            layers,
        }
    }

    /// Times a segment of a model.
    pub fn of_segment(model: &Model, segment: &Segment, npu: &Npu, hardware: &Hardware) -> Timing {
        let bytes = |id: TensorId| {
            let tensor = model.tensors.get(id.0 as usize);
            tensor.map_or(0, |t| (numel(&t.shape).unwrap_or(0) * t.dtype.bytes()) as u64)
        };
        let leaves = npu.placed.iter().filter(|p| segment.outputs.contains(&p.tensor));
        let outputs: Vec<Range<u64>> =
            leaves.map(|p| p.address.into()..u64::from(p.address) + bytes(p.tensor)).collect();
        Timing::of(&npu.program, &outputs, hardware)
    }

    /// Bytes from and to DDR.
    pub fn ddr_bytes(&self) -> u64 {
        self.loaded_bytes + self.stored_bytes
    }

    /// Time of one run in microseconds.
    pub fn latency_us(&self, hardware: &Hardware) -> f64 {
        self.cycles as f64 / f64::from(hardware.clock_mhz)
    }

    /// Runs a second with this many cores busy, each on its own frame. All cores share the connection to DDR.
    pub fn runs_per_second(&self, hardware: &Hardware, cores: u32) -> f64 {
        let ddr: u64 = self.layers.iter().map(|l| l.load + l.store).sum();
        let cycles = (self.cycles as f64 / f64::from(cores.max(1))).max(ddr as f64).max(1.0);
        f64::from(hardware.clock_mhz) * 1e6 / cycles
    }
}

/// Cycles of each function call: from the end of the SYNC before it to the end of its own last command.
fn calls(program: &Program, spans: &[Span]) -> Vec<u64> {
    let begins = program.calls.iter().filter_map(|&call| Some(spans.get((call as usize).checked_sub(1)?)?.end));
    let mut out: Vec<u64> = begins.collect();
    out.push(spans.iter().map(|s| s.end).max().unwrap_or(0));
    let mut before = 0;
    for end in &mut out {
        (*end, before) = (*end - before, *end);
    }
    out
}

/// Gives every cycle of the total to the layer whose command ends it.
fn share(program: &Program, spans: &[Span], layers: &mut [LayerTiming]) {
    let mut ends: Vec<(u64, usize)> = spans.iter().enumerate().map(|(i, s)| (s.end, i)).collect();
    ends.sort_unstable();
    let mut now = 0;
    for (end, i) in ends {
        // END belongs to no layer and takes no time.
        if let Some(l) = layers.get_mut(usize::from(program.commands[i].layer)) {
            l.share += end - now;
            now = end;
        }
    }
}

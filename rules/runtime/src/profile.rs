//! Where the time of runs goes: one row a CPU node, border, layout conversion, BPU segment, and layer of a segment.
//!
//! The clock is the caller's. A run without a profile pays one branch a step; one with a profile reads the clock once a
//! step. Each thread fills a profile of its own, so nothing is locked; [`Profile::merge`] joins them. Called by `ptq run`.

use crate::{Model, RunOptions, RuntimeError, Step, StepKind};
use ptq_ir::Tensor;

/// Nanoseconds since some moment; never goes back.
pub type Clock<'a> = &'a (dyn Fn() -> u64 + Sync);

/// What a row of a profile is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A float node on the CPU.
    Cpu,
    /// A border in front of the BPU.
    Quantize,
    /// A border behind the BPU.
    Dequantize,
    /// All inputs of a segment into its storage order.
    InputLayout,
    /// All results of a segment into the model's own axis order.
    OutputLayout,
    /// The work of a BPU segment without its layout conversions: on this host, by the integer executor or the simulator.
    Segment,
    /// A node of an integer segment, which is counted in the segment's row too.
    Layer,
}

/// Times of something that happened `count` times, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How often.
    pub count: u64,
    /// All together.
    pub sum: u64,
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
}

impl Spread {
    /// Counts one more.
    pub fn add(&mut self, time: u64) {
        self.merge(&Spread { count: 1, sum: time, min: time, max: time });
    }

    /// Counts what another one has counted.
    pub fn merge(&mut self, other: &Spread) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
    }

    /// Mean in nanoseconds; 0 of nothing.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }
}

/// A row of a profile; its times are those of one frame each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Position of the segment in the model.
    pub segment: usize,
    /// What it is.
    pub kind: RowKind,
    /// Name of the node or layer; of a segment or its layouts the segment's, such as `net_subgraph_0`.
    pub name: String,
    /// Operator; empty for segments and layouts.
    pub op: String,
    /// Times by frame.
    pub time: Spread,
}

/// Rows of one kind of work each, in order of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    rows: Vec<Row>,
    /// Rows that each step of a run counts in.
    places: Vec<Vec<usize>>,
    /// Times of each frame from start to end.
    frames: Spread,
    /// What each frame spent in BPU segments, without layout conversions.
    bpu: Spread,
    /// What each frame spent in everything else that has a row.
    cpu: Spread,
}

impl Profile {
    /// Runs a frame and counts it. A profile is about one model.
    ///
    /// # Errors
    /// As [`Model::run`]; the frame is then not counted.
    pub fn run(
        &mut self,
        model: &Model,
        inputs: &[Tensor],
        options: &RunOptions,
        clock: Clock<'_>,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        let known = !self.places.is_empty();
        let mut spent = vec![0; self.rows.len()];
        let (rows, places) = (&mut self.rows, &mut self.places);
        let mut at = 0;
        let start = clock();
        let mut last = start;
        let mut step = |step: Step<'_>| {
            let now = clock();
            if !known {
                let found = places_of(model, &step, rows);
                spent.resize(rows.len(), 0);
                places.push(found);
            }
            places.get(at).into_iter().flatten().for_each(|&row| spent[row] += now.saturating_sub(last));
            at += 1;
            // Looking up where a step belongs is no part of the run.
            last = if known { now } else { clock() };
        };
        let outputs = model.run_steps(inputs, options, &mut step)?;
        self.frames.add(clock().saturating_sub(start));
        let (mut bpu, mut cpu) = (0, 0);
        for (row, time) in self.rows.iter_mut().zip(spent) {
            row.time.add(time);
            match row.kind {
                RowKind::Segment => bpu += time,
                RowKind::Layer => {}
                _ => cpu += time,
            }
        }
        self.bpu.add(bpu);
        self.cpu.add(cpu);
        Ok(outputs)
    }

    /// The same rows without times, so that a frame that warms up is not counted.
    #[must_use]
    pub fn cleared(&self) -> Profile {
        let rows = self.rows.iter().map(|row| Row { time: Spread::default(), ..row.clone() }).collect();
        Profile { rows, places: self.places.clone(), ..Profile::default() }
    }

    /// Adds the frames of another profile of the same model.
    pub fn merge(&mut self, other: &Profile) {
        if self.places.is_empty() {
            (self.rows, self.places) = (other.rows.clone(), other.places.clone());
        } else {
            self.rows.iter_mut().zip(&other.rows).for_each(|(row, other)| row.time.merge(&other.time));
        }
        self.frames.merge(&other.frames);
        self.bpu.merge(&other.bpu);
        self.cpu.merge(&other.cpu);
    }

    /// Rows in order of the run; a layer comes behind its segment's row.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Times of each frame from start to end.
    pub fn frames(&self) -> Spread {
        self.frames
    }

    /// What each frame spent in BPU segments, without layout conversions.
    pub fn bpu(&self) -> Spread {
        self.bpu
    }

    /// What each frame spent in CPU nodes, borders and layout conversions.
    pub fn cpu(&self) -> Spread {
        self.cpu
    }
}

/// The rows that a step counts in, made where they are missing.
fn places_of(model: &Model, step: &Step<'_>, rows: &mut Vec<Row>) -> Vec<usize> {
    let mut place = |kind, name: &str, op: &str| {
        let same = |r: &Row| (r.segment, r.kind, r.name.as_str()) == (step.segment, kind, name);
        rows.iter().position(same).unwrap_or_else(|| {
            let row = Row { segment: step.segment, kind, name: name.into(), op: op.into(), time: Spread::default() };
            rows.push(row);
            rows.len() - 1
        })
    };
    let of_segment = || segment_name(model, step.segment);
    match step.kind {
        StepKind::Cpu => vec![place(RowKind::Cpu, step.name, step.op)],
        StepKind::Quantize => vec![place(RowKind::Quantize, step.name, step.op)],
        StepKind::Dequantize => vec![place(RowKind::Dequantize, step.name, step.op)],
        StepKind::InputLayout => vec![place(RowKind::InputLayout, &of_segment(), "")],
        StepKind::OutputLayout => vec![place(RowKind::OutputLayout, &of_segment(), "")],
        StepKind::Program => vec![place(RowKind::Segment, &of_segment(), "")],
        StepKind::Layer => {
            let segment = place(RowKind::Segment, &of_segment(), "");
            vec![segment, place(RowKind::Layer, step.name, step.op)]
        }
    }
}

/// `<model>_subgraph_<id>`; where several segments of the model have the same id, their position comes behind it.
fn segment_name(model: &Model, at: usize) -> String {
    let artifact = model.artifact();
    let id = artifact.segments.get(at).and_then(|s| s.subgraph);
    let shown = id.map_or_else(|| at.to_string(), |id| id.to_string());
    let alone = artifact.segments.iter().filter(|s| s.subgraph == id).count() == 1;
    let part = if alone { String::new() } else { format!("_part{at}") };
    format!("{}_subgraph_{shown}{part}", artifact.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_join_in_any_order() {
        let of = |times: &[u64]| {
            let mut spread = Spread::default();
            times.iter().for_each(|&t| spread.add(t));
            spread
        };
        let (a, b) = (of(&[5, 3]), of(&[9]));
        for (mut first, second) in [(a, b), (b, a)] {
            first.merge(&second);
            first.merge(&Spread::default());
            assert_eq!(first, Spread { count: 3, sum: 17, min: 3, max: 9 });
        }
        assert_eq!((of(&[5, 3]).mean(), Spread::default().mean()), (4.0, 0.0));
    }
}

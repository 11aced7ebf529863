//! A prediction as a trace that Chrome and Perfetto show: a process a core, a thread a queue, one for the CPU.

use super::{PerfKind, Performance};
use ptq_sim::{QUEUES, Queue};
use serde_json::{Value, json};

/// Process of the CPU; cores of the BPU are processes from 1 on.
const CPU: u64 = 0;

/// One piece of work on the timeline, in microseconds of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    /// Core, or none on the CPU.
    pub(super) core: Option<u8>,
    /// Position of its queue in [`Queue::ALL`]; 0 on the CPU.
    pub(super) queue: usize,
    /// Row of the prediction.
    pub(super) row: usize,
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Performance {
    /// Everything that happens in a run, in order of its start in each lane.
    pub(super) fn work(&self) -> Vec<Work> {
        let on_cpu = self.rows.iter().enumerate().filter(|(_, r)| r.kind != PerfKind::Layer);
        let mut out: Vec<Work> =
            on_cpu.map(|(row, r)| Work { core: None, queue: 0, row, start: r.start_us, end: r.end_us }).collect();
        for call in &self.calls {
            let first = self.rows.iter().position(|r| r.segment == call.segment).unwrap_or(0);
            for (span, (core, layer)) in call.timing.spans.iter().zip(&call.commands) {
                let Some(queue) = span.queue else { continue };
                out.push(Work {
                    core: Some(*core),
                    queue: queue.index(),
                    row: first + usize::from(*layer),
                    start: call.start_us + self.us(span.start),
                    end: call.start_us + self.us(span.start + span.busy),
                });
            }
        }
        out
    }

    /// The trace as JSON in Chrome's format; times are microseconds of the target.
    pub fn trace(&self) -> Value {
        let cores = self.cores_per_run();
        let mut events =
            vec![name("process_name", CPU, 0, "CPU (assumed)"), name("thread_name", CPU, 0, "nodes and borders")];
        for core in 0..u64::from(cores) {
            events.push(name("process_name", core + 1, 0, &format!("BPU core {core}, {}", self.march)));
            let threads = Queue::ALL.iter().zip(0..QUEUES as u64);
            events.extend(threads.map(|(queue, thread)| name("thread_name", core + 1, thread, queue.name())));
        }
        let work = self.work();
        events.extend(work.iter().filter_map(|w| {
            let row = self.rows.get(w.row)?;
            let process = w.core.map_or(CPU, |c| u64::from(c) + 1);
            let word = if w.core.is_none() { row.kind.word() } else { Queue::ALL[w.queue % QUEUES].name() };
            Some(json!({
                "name": self.shown(w.row), "cat": word, "ph": "X", "ts": w.start, "dur": w.end - w.start, "pid": process,
                "tid": w.queue, "args": { "op": row.op, "limited_by": row.limit },
            }))
        }));
        json!({ "displayTimeUnit": "ns", "traceEvents": events,
                "otherData": { "model": self.model, "march": self.march, "kind": "predicted" } })
    }

    /// The name of a row.
    pub(super) fn shown(&self, row: usize) -> &str {
        self.rows.get(row).map_or("", |r| r.name.as_str())
    }
}

fn name(what: &str, process: u64, thread: u64, name: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": process, "tid": thread, "args": { "name": name } })
}

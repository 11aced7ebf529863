//! A measured run as JSON and CSV.

use super::cuts::cuts;
use super::{Cut, ProfileReport, Simulated, percent};
use crate::text_table::csv_line;
use ptq_place::Place;
use ptq_runtime::{Row, RowKind, Spread};
use serde_json::{Map, Value, json};

/// A kind in files: its word, the device, and what stands around the row's name.
struct Shown {
    kind: &'static str,
    on: &'static str,
    before: &'static str,
    behind: &'static str,
}

fn shown(kind: RowKind) -> Shown {
    let row = |kind, on, before, behind| Shown { kind, on, before, behind };
    match kind {
        RowKind::Cpu => row("node", "CPU", "", ""),
        RowKind::Quantize => row("quantize", "CPU", "", ""),
        RowKind::Dequantize => row("dequantize", "CPU", "", ""),
        RowKind::InputLayout => row("layout", "CPU", "", "_input_layout_convert"),
        RowKind::OutputLayout => row("layout", "CPU", "", "_output_layout_convert"),
        RowKind::Segment => row("segment", "BPU", "BPU_", ""),
        RowKind::Layer => row("layer", "BPU", "", ""),
    }
}

fn name(row: &Row) -> String {
    let s = shown(row.kind);
    format!("{}{}{}", s.before, row.name, s.behind)
}

fn ms(ns: f64) -> f64 {
    ns / 1e6
}

fn times(time: &Spread) -> Value {
    json!({ "avg_time": ms(time.mean()), "max_time": ms(time.max as f64), "min_time": ms(time.min as f64) })
}

impl ProfileReport<'_> {
    /// The profile as JSON; fields of `hrt_model_exec` under its own names, ours beside them.
    pub fn json(&self) -> Value {
        let (frames, profile) = (self.profile.frames(), self.profile);
        let artifact = self.model.artifact();
        let is_layer = |row: &&Row| row.kind == RowKind::Layer;
        let rows = || profile.rows().iter().filter(|row| !is_layer(row));
        let latency: Map<String, Value> = rows().map(|row| (name(row), times(&row.time))).collect();
        let processors = json!({
            "BPU_inference_time_cost": times(&profile.bpu()),
            "CPU_inference_time_cost": times(&profile.cpu()),
        });
        json!({
            "perf_result": {
                "FPS": self.fps(), "average_latency": ms(frames.mean()),
                "min_latency": ms(frames.min as f64), "max_latency": ms(frames.max as f64),
            },
            "running_condition": {
                "core_id": 0, "frame_count": frames.count, "model_name": artifact.name, "run_time": ms(self.wall as f64),
                "thread_num": self.threads, "kernel_threads": self.kernel_threads, "march": artifact.march,
                "unit": "ms", "clock": "host",
            },
            "chip_latency": processors.clone(),
            "processor_latency": processors,
            "model_latency": latency,
            // A frame begins when a thread takes it, so it never waits.
            "task_latency": { "TaskPendingTime": times(&Spread::default()), "TaskRunningTime": times(&frames) },
            "preparation": self.preparation.iter().map(|(n, ms)| (n.clone(), json!(ms))).collect::<Map<_, _>>(),
            "nodes": rows().map(|row| self.row(row)).collect::<Vec<_>>(),
            "layers": profile.rows().iter().filter(is_layer).map(|row| self.row(row)).collect::<Vec<_>>(),
            "summary": self.summary(),
            "simulated": self.simulated_json(),
        })
    }

    /// The profile as CSV: one line a row, milliseconds.
    pub fn csv(&self) -> String {
        let head = [
            "name",
            "kind",
            "op",
            "on",
            "segment",
            "count",
            "avg_ms",
            "min_ms",
            "max_ms",
            "share_percent",
            "simulated_ms",
        ];
        let mut out = csv_line(head.into_iter());
        let mean = self.profile.frames().mean();
        for row in self.profile.rows() {
            let (time, s) = (&row.time, shown(row.kind));
            let simulated =
                self.simulated.iter().flatten().find(|s| row.kind == RowKind::Segment && s.segment == row.segment);
            let number = |ns: f64| format!("{:.6}", ms(ns));
            let cells = [
                name(row),
                s.kind.to_owned(),
                row.op.clone(),
                s.on.to_owned(),
                row.segment.to_string(),
                time.count.to_string(),
                number(time.mean()),
                number(time.min as f64),
                number(time.max as f64),
                format!("{:.2}", percent(time.mean(), mean)),
                simulated.map_or_else(String::new, |s| format!("{:.6}", s.ms)),
            ];
            out += &csv_line(cells.iter().map(String::as_str));
        }
        out
    }

    fn row(&self, row: &Row) -> Value {
        let s = shown(row.kind);
        let mut out = times(&row.time);
        out["name"] = json!(name(row));
        out["kind"] = json!(s.kind);
        out["op"] = json!(row.op);
        out["on"] = json!(s.on);
        out["segment"] = json!(row.segment);
        out["count"] = json!(row.time.count);
        out["share_percent"] = json!(percent(row.time.mean(), self.profile.frames().mean()));
        out
    }

    fn summary(&self) -> Value {
        let (parts, mean) = (self.parts(), self.profile.frames().mean());
        let part = |ns: f64| json!({ "ms": ms(ns), "share_percent": percent(ns, mean) });
        let all = cuts(self.model, self.profile);
        let cut = |c: &Cut| {
            json!({ "segment": c.segment, "place": c.place, "nodes": c.nodes, "borders": c.borders, "elements": c.elements,
                    "ms": ms(c.total()), "cpu_ms": ms(c.cpu), "border_ms": ms(c.border), "layout_ms": ms(c.layout),
                    "share_percent": percent(c.total(), mean) })
        };
        let inner = all.iter().filter(|c| c.place == Place::Cut);
        let dearest = inner.max_by(|a, b| a.total().total_cmp(&b.total()));
        json!({
            "bpu_segments": part(parts.bpu), "cpu_nodes": part(parts.cpu), "borders": part(parts.borders),
            "layout": part(parts.layout), "rest": part(parts.rest),
            "pieces": all.iter().map(cut).collect::<Vec<_>>(),
            "dearest_cut": dearest.map(cut),
        })
    }

    fn simulated_json(&self) -> Value {
        let all = match self.simulated.as_deref() {
            Ok([]) => return Value::Null,
            Ok(all) => all,
            Err(why) => return json!({ "why_not": why }),
        };
        let name = |at: usize| {
            let row = self.profile.rows().iter().find(|r| r.kind == RowKind::Segment && r.segment == at);
            row.map(name)
        };
        let layer = |(name, cycles): &(String, u64)| json!({ "name": name, "cycles": cycles });
        let one = |s: &Simulated| {
            json!({ "name": name(s.segment), "segment": s.segment, "cycles": s.cycles, "ms": s.ms,
                    "layers": s.layers.iter().map(layer).collect::<Vec<_>>() })
        };
        json!({
            "segments": all.iter().map(one).collect::<Vec<_>>(),
            "cycles": all.iter().map(|s| s.cycles).sum::<u64>(),
            "ms": all.iter().map(|s| s.ms).sum::<f64>(),
        })
    }
}

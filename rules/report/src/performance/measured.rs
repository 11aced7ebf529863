//! What this machine takes for a model of march `cpu`: measured, not predicted, in the same form as a prediction. Called by
//! `ptq perf`; never written into a variant's folder.

use super::json::layer;
use super::text::bytes;
use super::{InputUse, PerfKind, PerfRow, frames, page, ratio};
use crate::text_table;
use ptq_ir::{QNode, QOp, TensorId};
use ptq_runtime::{Model, Profile, RowKind};
use ptq_sim::artifact::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Rows that the terminal lists.
const SLOWEST: usize = 12;

/// A measured model.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Name of the model.
    pub model: String,
    /// Its march.
    pub march: String,
    /// Level that it was compiled at.
    pub optimize_level: String,
    /// Frames that were measured, one at a time.
    pub frames: u64,
    /// Items that one run computes.
    pub frames_per_run: u64,
    /// Mean, least and greatest time of a run in microseconds, one at a time on one core.
    pub latency_us: [f64; 3],
    /// Items a second on one core.
    pub fps: f64,
    /// Items a second with a run on every core.
    pub fps_all_cores: f64,
    /// Cores of the latter.
    pub cores: usize,
    /// Inputs as they arrive.
    pub inputs: Vec<InputUse>,
    /// A row a node, border, layout conversion and layer.
    pub rows: Vec<PerfRow>,
}

impl Measured {
    /// `one`: runs one at a time; `all`: a run on each of `cores` cores, `wall_ns` from the first start to the last end.
    pub fn of(model: &Model, one: &Profile, all: &Profile, wall_ns: u64, cores: usize) -> Measured {
        let artifact = model.artifact();
        let run = one.frames();
        let per_run = frames::per_run(artifact);
        let us = |ns: u64| ns as f64 / 1e3;
        Measured {
            model: artifact.name.clone(),
            march: artifact.march.clone(),
            optimize_level: artifact.optimize_level.clone(),
            frames: run.count,
            frames_per_run: per_run,
            latency_us: [run.mean() / 1e3, us(run.min), us(run.max)],
            fps: ratio(1e9 * per_run as f64, run.mean()),
            fps_all_cores: ratio(1e9 * (all.frames().count * per_run) as f64, wall_ns as f64),
            cores,
            inputs: frames::inputs(artifact),
            rows: rows(model, one),
        }
    }

    /// As [`super::Performance::json`]; what nobody can measure from outside is null.
    pub fn json(&self) -> Value {
        let [mean, least, greatest] = self.latency_us;
        json!({
            "summary": {
                "model": self.model, "march": self.march, "optimize_level": self.optimize_level, "kind": "measured",
                "latency_us": mean, "latency_min_us": least, "latency_max_us": greatest, "measured_runs": self.frames,
                "fps": self.fps, "fps_all_cores": self.fps_all_cores, "cores": self.cores,
                "frames_per_run": self.frames_per_run, "ddr_bytes": null, "loaded_bytes": null, "stored_bytes": null,
                "macs": self.macs(), "mac_efficiency": null, "roofline_us": null,
                "gigamacs_per_second": ratio(self.macs() as f64 / 1e3, mean),
                "inputs": self.inputs.iter().map(|i| json!({
                    "name": i.name, "shape": i.shape, "type": i.arrives, "bytes": i.bytes, "elements": i.elements,
                })).collect::<Vec<_>>(),
                "hb_perf": {
                    "BPU OPs per run (effective)": 2 * self.macs(), "BPU march": self.march.to_uppercase(),
                    "FPS": self.fps, "frame per run": self.frames_per_run, "frame per second": self.fps,
                    "latency (ms)": mean / 1e3, "latency (us)": mean, "model name": self.model,
                    "run per second": ratio(1e6, mean),
                    "worst FPS": ratio(1e6 * self.frames_per_run as f64, greatest),
                },
            },
            "layers": self.rows.iter().map(|r| layer(r, &self.rows)).collect::<Vec<_>>(),
            "assumed": [],
        })
    }

    fn macs(&self) -> u64 {
        self.rows.iter().map(|r| r.macs).sum()
    }

    fn figures(&self) -> Vec<(&'static str, String)> {
        let [mean, least, greatest] = self.latency_us.map(|us| us / 1e3);
        vec![
            ("latency", format!("{mean:.3} ms ({least:.3} to {greatest:.3}) over {} runs on one core", self.frames)),
            ("FPS, one core", format!("{:.1}", self.fps)),
            ("FPS, all cores", format!("{:.1} on {}", self.fps_all_cores, self.cores)),
            ("work", format!("{:.2} GMAC/s", ratio(self.macs() as f64 / 1e3, self.latency_us[0]))),
            ("inputs", bytes(self.inputs.iter().map(|i| i.bytes).sum())),
        ]
    }

    /// Lines for a terminal.
    pub fn text(&self) -> String {
        let mut out =
            format!("{} for march {} at {}: measured on this machine\n", self.model, self.march, self.optimize_level);
        for (name, value) in self.figures() {
            let _ = writeln!(out, "  {name:<18}{value}");
        }
        let mut slowest: Vec<&PerfRow> = self.rows.iter().collect();
        slowest.sort_by(|a, b| b.time_us.total_cmp(&a.time_us));
        let whole = self.latency_us[0];
        let cells = |r: &&PerfRow| {
            let share = format!("{:.1} %", ratio(r.time_us, whole) * 100.0);
            let rate = format!("{:.1}", ratio(r.macs as f64 / 1e3, r.time_us));
            [r.name.clone(), r.op.clone(), r.kind.on().to_owned(), format!("{:.1}", r.time_us), share, rate]
        };
        let rows: Vec<[String; 6]> = slowest.iter().take(SLOWEST).map(cells).collect();
        let _ = write!(out, "\n{}", text_table::aligned(["Row", "Type", "On", "Time, us", "Share", "GMAC/s"], &rows));
        out
    }

    /// A page that needs nothing else.
    pub fn page(&self) -> String {
        page::measured(&self.model, &self.march, &self.figures(), &self.rows)
    }

    /// A mean run in Chrome's trace format.
    pub fn trace(&self) -> Value {
        let events: Vec<Value> = self.rows.iter().map(|r| {
            json!({ "name": r.name, "cat": r.kind.word(), "ph": "X", "ts": r.start_us, "dur": r.time_us, "pid": 0, "tid": 0,
                    "args": { "op": r.op } })
        }).collect();
        json!({ "displayTimeUnit": "ns", "traceEvents": events,
                "otherData": { "model": self.model, "march": self.march, "kind": "measured" } })
    }
}

/// Rows of the profile in order of the run, with who reads whom.
fn rows(model: &Model, profile: &Profile) -> Vec<PerfRow> {
    let artifact = model.artifact();
    let nodes: BTreeMap<(usize, &str), &QNode> = artifact
        .segments
        .iter()
        .enumerate()
        .flat_map(|(at, s)| match &s.body {
            Body::Float(nodes) | Body::Int(nodes) => nodes.iter().map(|n| ((at, n.name.as_str()), n)).collect(),
            Body::Npu(_) => Vec::new(),
        })
        .collect();
    let mut made: BTreeMap<TensorId, usize> = BTreeMap::new();
    let mut out: Vec<PerfRow> = Vec::new();
    let mut now = 0.0;
    for row in profile.rows() {
        let kind = match row.kind {
            // Its layers have rows of their own.
            RowKind::Segment => continue,
            RowKind::Layer => PerfKind::Layer,
            RowKind::Quantize => PerfKind::Quantize,
            RowKind::Dequantize => PerfKind::Dequantize,
            RowKind::Cpu | RowKind::InputLayout | RowKind::OutputLayout => PerfKind::Node,
        };
        let node = nodes.get(&(row.segment, row.name.as_str()));
        let (layout, at) = (node.is_none(), out.len());
        let mut from: Vec<usize> =
            node.map_or_else(Vec::new, |n| n.inputs.iter().filter_map(|id| made.get(id).copied()).collect());
        from.sort_unstable();
        from.dedup();
        if let Some(n) = node {
            made.extend(n.outputs.iter().map(|&id| (id, at)));
        }
        let time = row.time.mean() / 1e3;
        out.push(PerfRow {
            name: if layout { format!("{}_layout_convert", row.name) } else { row.name.clone() },
            op: if layout { "Layout".to_owned() } else { row.op.clone() },
            kind,
            segment: row.segment,
            subgraph: artifact.segments.get(row.segment).and_then(|s| s.subgraph),
            from,
            start_us: now,
            end_us: now + time,
            time_us: time,
            compute_us: time,
            load_us: 0.0,
            store_us: 0.0,
            loaded_bytes: 0,
            stored_bytes: 0,
            macs: node.map_or(0, |n| macs(n, artifact)),
            bound_us: 0.0,
            limit: "cpu",
            advice: Vec::new(),
        });
        now += time;
    }
    out
}

/// Multiply-accumulates of a node.
fn macs(node: &QNode, model: &ptq_sim::artifact::Model) -> u64 {
    let shape =
        |id: Option<&TensorId>| id.and_then(|id| model.tensors.get(id.0 as usize)).map_or(&[][..], |t| &t.shape);
    let made = shape(node.outputs.first()).iter().product::<usize>() as u64;
    match &node.op {
        QOp::Conv(c) => {
            let channels = shape(node.inputs.first()).get(1).copied().unwrap_or(1) / c.geom.group.max(1);
            made * (channels * c.geom.kernel[0] * c.geom.kernel[1]) as u64
        }
        QOp::MatMul(_) => made * shape(node.inputs.first()).last().copied().unwrap_or(1) as u64,
        QOp::Float { .. } => super::host::cost(node, &model.tensors).0,
        _ => 0,
    }
}

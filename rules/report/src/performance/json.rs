//! A prediction as JSON: our own fields, and the vendor's summary under its own keys.

use super::bins::bins;
use super::{PerfKind, PerfRow, Performance, ratio};
use ptq_march::Parameter;
use serde_json::{Map, Value, json};

impl Performance {
    /// `{ "summary": { …, "hb_perf": { … } }, "layers": [ … ], "assumed": [ … ], … }`. Fields are only added, never renamed.
    pub fn json(&self) -> Value {
        json!({
            "summary": self.summary(),
            "layers": self.shown_rows().iter().map(|r| layer(r, &self.rows)).collect::<Vec<_>>(),
            "assumed": self.assumed().iter().map(parameter).collect::<Vec<_>>(),
            "parameters": self.parameters().iter().map(parameter).collect::<Vec<_>>(),
        })
    }

    /// All rows; none when the model was compiled without details of its layers.
    pub(super) fn shown_rows(&self) -> &[PerfRow] {
        if self.has_details { &self.rows } else { &[] }
    }

    fn summary(&self) -> Value {
        let cores = self.hardware.cores;
        json!({
            "model": self.model,
            "march": self.march,
            "stands_for": self.stands_for,
            "optimize_level": self.optimize_level,
            "kind": "predicted",
            "latency_us": self.latency_us(),
            "cpu_us": self.cpu_us(),
            "end_to_end_us": self.latency_us() + self.cpu_us(),
            "fps": self.fps(1),
            "fps_all_cores": self.fps(cores),
            "cores": cores,
            "cores_per_run": self.cores_per_run(),
            "multicore_sync_us": self.multicore_sync_us(),
            "function_calls_us": self.segments_ms().iter().map(|ms| ms * 1e3).collect::<Vec<_>>(),
            "frames_per_run": self.frames_per_run,
            "ddr_bytes": self.ddr_bytes(),
            "loaded_bytes": self.loaded_bytes(),
            "stored_bytes": self.stored_bytes(),
            "simulated_ddr_bytes": self.ddr_bytes() + self.expanded_bytes,
            "macs": self.macs(),
            "mac_efficiency": self.mac_efficiency(),
            "busy": self.busy(),
            "roofline_us": self.roofline_us(),
            "efficiency": ratio(self.roofline_us(), self.latency_us()),
            "cycles": self.cycles(),
            "inputs": self.inputs.iter().map(|i| json!({
                "name": i.name, "shape": i.shape, "type": i.arrives, "source": i.source, "bytes": i.bytes, "elements": i.elements,
            })).collect::<Vec<_>>(),
            "hb_perf": self.hb_perf(),
        })
    }

    /// The summary of the vendor's tool for march `bayes`, under its keys.
    fn hb_perf(&self) -> Map<String, Value> {
        let frames = self.frames_per_run.max(1) as f64;
        let ms = self.latency_us() / 1e3;
        let runs = self.fps(1) / frames;
        let (ddr, loaded, stored) = (self.ddr_bytes() as f64, self.loaded_bytes() as f64, self.stored_bytes() as f64);
        let mega = 1e6;
        // A multiply-accumulate is two operations.
        let ops = 2.0 * self.macs() as f64;
        let working = 2.0 * self.working_macs();
        let (bins, length) = bins(self);
        let round = |v: f64| (v * 1e3).round() / 1e3;
        let bandwidth = |bytes: f64, us: f64| round(ratio(bytes / mega, us / 1e6));
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
        put("BPU OPs per frame (effective)", json!(ops / frames));
        put("BPU OPs per frame (working)", json!(working / frames));
        put("BPU OPs per run (effective)", json!(ops));
        put("BPU PE number", json!(self.peak_macs()));
        put("BPU core number", json!(self.cores_per_run()));
        put("BPU march", json!(self.march.to_uppercase()));
        put("DDR bytes per frame", json!(ddr / frames));
        put("DDR bytes per run", json!(ddr));
        put("DDR bytes per second", json!(ddr * runs));
        put("DDR megabytes per frame", json!(ddr / frames / mega));
        put("DDR megabytes per run", json!(ddr / mega));
        put("DDR megabytes per second", json!(ddr * runs / mega));
        put("FPS", json!(self.fps(1)));
        put("HBDK version", json!(concat!("none; ptq ", env!("CARGO_PKG_VERSION"))));
        put("compiling options", json!(self.options()));
        put("frame per run", json!(self.frames_per_run));
        put("frame per second", json!(self.fps(1)));
        put("input features", json!(self.features()));
        put("interval number", json!(bins.len()));
        put("interval time (ms)", json!(length / 1e3));
        let busy = |b: &super::bins::Bin| round(b.busy);
        put("interval computing unit(s) utilization", json!(bins.iter().map(busy).collect::<Vec<_>>()));
        let per = |of: fn(&super::bins::Bin) -> f64| bins.iter().map(|b| bandwidth(of(b), b.us)).collect::<Vec<_>>();
        put("interval loading bandwidth (megabytes/s)", json!(per(|b| b.loaded)));
        put("interval storing bandwidth (megabytes/s)", json!(per(|b| b.stored)));
        put("latency (ms)", json!(ms));
        put("latency (us)", json!(self.latency_us()));
        put("latency (ms) by segments", json!(self.segments_ms()));
        put("layer details", json!(self.layer_details()));
        put("loaded bytes per frame", json!(loaded / frames));
        put("loaded bytes per run", json!(loaded));
        put("stored bytes per frame", json!(stored / frames));
        put("stored bytes per run", json!(stored));
        put("model name", json!(self.model));
        let crc = |i: usize| self.calls.iter().fold(0u32, |sum, c| sum.rotate_left(1) ^ c.crc[i]);
        put("model json CRC", json!(format!("{:08x}", crc(0))));
        put("model param CRC", json!(format!("{:08x}", crc(1))));
        put("multicore sync time (ms)", json!(self.multicore_sync_us() / 1e3));
        put("run per second", json!(runs));
        put("runtime version", json!(concat!("ptq ", env!("CARGO_PKG_VERSION"))));
        put("worst FPS", json!(self.fps(1)));
        out
    }

    /// Multiply-accumulates of lanes that are occupied, padding included.
    fn working_macs(&self) -> f64 {
        self.calls.iter().map(|c| c.timing.working_macs).sum()
    }

    fn options(&self) -> String {
        let inputs: Vec<&str> = self.inputs.iter().map(|i| i.source).collect();
        format!(
            "--march {} --{} --core-num {} -i {}",
            self.march,
            self.optimize_level,
            self.cores_per_run(),
            inputs.join(",")
        )
    }

    fn features(&self) -> Vec<Value> {
        let dims = |s: &[usize]| s.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        let feature = |i: &super::InputUse| json!({ "name": i.name, "shape": dims(&i.shape), "type": i.arrives, "source": i.source, "bytes": i.bytes });
        self.inputs.iter().map(feature).collect()
    }

    fn segments_ms(&self) -> Vec<f64> {
        self.calls.iter().flat_map(|c| &c.timing.calls).map(|&cycles| self.us(cycles) / 1e3).collect()
    }

    /// Layer, operations, computing cost without DDR, load and store cost, as texts.
    fn layer_details(&self) -> Vec<Value> {
        let ms = |us: f64| format!("{:.6}", us / 1e3);
        let layers = self.rows.iter().filter(|r| r.kind == PerfKind::Layer && self.has_details);
        let row = |r: &PerfRow| {
            json!({ "layer": r.name, "ops": 2 * r.macs, "computing cost (no DDR)": ms(r.compute_us),
                    "load cost": ms(r.load_us), "store cost": ms(r.store_us), "load/store cost": ms(r.load_us + r.store_us) })
        };
        layers.map(row).collect()
    }
}

/// A row; `rows` are all, to name those that it reads.
pub(super) fn layer(r: &PerfRow, rows: &[PerfRow]) -> Value {
    json!({
        "name": r.name, "op": r.op, "kind": r.kind.word(), "on": r.kind.on(), "segment": r.segment,
        "subgraph": r.subgraph.map(|id| format!("id({id})")),
        "inputs": r.from.iter().filter_map(|&i| rows.get(i)).map(|r| &r.name).collect::<Vec<_>>(),
        "start_us": r.start_us, "end_us": r.end_us, "time_us": r.time_us,
        "compute_us": r.compute_us, "load_us": r.load_us, "store_us": r.store_us,
        "ddr_bytes": r.loaded_bytes + r.stored_bytes, "loaded_bytes": r.loaded_bytes, "stored_bytes": r.stored_bytes,
        "macs": r.macs, "roofline_us": r.bound_us, "efficiency": r.efficiency(), "limited_by": r.limit,
        "advice": r.advice.iter().map(|a| json!({
            "text": a.to_string(), "what": a.what, "us": a.us, "percent": a.percent,
        })).collect::<Vec<_>>(),
    })
}

fn parameter(p: &Parameter) -> Value {
    json!({ "name": p.name, "value": p.value, "unit": p.unit, "provenance": p.provenance })
}

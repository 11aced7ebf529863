//! A prediction as lines for a terminal, and as a section of `report.md`.

use super::{PerfKind, PerfRow, Performance, ratio};
use crate::text_table;
use std::fmt::Write as _;

/// Layers that the terminal lists, the slowest first.
const SLOWEST: usize = 12;

/// Bytes in a readable unit.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.2} MB", n as f64 / 1e6),
    }
}

/// What an nv12 frame is counted as, and why `ptq info` says something else.
pub(super) fn nv12_note(p: &Performance) -> Option<String> {
    let frame = p.inputs.iter().find(|i| i.arrives == "nv12")?;
    Some(format!(
        "{}: an nv12 frame is counted as the N·H·W·3/2 = {} bytes that cross the DDR; `ptq info` shows the shape N·H·W·3 = {} that the \
         accelerator computes with, because the frame is expanded to yuv444 on its way in",
        frame.name, frame.bytes, frame.elements
    ))
}

impl Performance {
    /// Name and value of each figure of the summary.
    pub(super) fn figures(&self) -> Vec<(&'static str, String)> {
        let percent = |x: f64| format!("{:.1} %", x * 100.0);
        let ms = |us: f64| format!("{:.3} ms", us / 1e3);
        let cores = self.hardware.cores;
        let frames = self.frames_per_run.max(1);
        let mut out = vec![
            (
                "latency (BPU)",
                format!("{}, {} cycles at {} MHz", ms(self.latency_us()), self.cycles(), self.hardware.clock_mhz),
            ),
            ("nodes and borders on the CPU", format!("{} (assumed figures)", ms(self.cpu_us()))),
            ("FPS, one core", format!("{:.1}", self.fps(1))),
            ("FPS, all cores", format!("{:.1} on {cores}", self.fps(cores))),
            (
                "DDR per frame",
                format!(
                    "{} loaded, {} stored",
                    bytes(self.loaded_bytes() / frames),
                    bytes(self.stored_bytes() / frames)
                ),
            ),
            (
                "MAC efficiency",
                format!(
                    "{} of {} a cycle; units busy {}",
                    percent(self.mac_efficiency()),
                    self.peak_macs(),
                    percent(self.busy())
                ),
            ),
            (
                "roofline",
                format!(
                    "{}, the prediction is {:.2} times that",
                    ms(self.roofline_us()),
                    ratio(self.latency_us(), self.roofline_us())
                ),
            ),
        ];
        if self.cores_per_run() > 1 {
            let sync = format!("{:.1} us", self.multicore_sync_us());
            out.push(("cores of one run", format!("{}, {sync} for meeting each other", self.cores_per_run())));
        }
        let calls = self.calls.iter().map(|c| c.timing.calls.len()).sum::<usize>();
        if calls > self.calls.len() {
            let longest = self.calls.iter().flat_map(|c| &c.timing.calls).max().copied().unwrap_or(0);
            out.push(("function calls", format!("{calls}, the longest {}", ms(self.us(longest)))));
        }
        out
    }

    /// Layers, the slowest first: part of the run, costs, bound, limit, advice.
    fn slowest(&self) -> Vec<&PerfRow> {
        let mut rows: Vec<&PerfRow> = self.shown_rows().iter().filter(|r| r.time_us > 0.0).collect();
        rows.sort_by(|a, b| b.time_us.total_cmp(&a.time_us));
        rows
    }

    /// Lines for a terminal.
    pub fn text(&self) -> String {
        let mut out = format!(
            "{} for march {} at {}: predicted, not measured ({})\n",
            self.model, self.march, self.optimize_level, self.stands_for
        );
        for (name, value) in self.figures() {
            let _ = writeln!(out, "  {name:<30}{value}");
        }
        if let Some(note) = nv12_note(self) {
            let _ = writeln!(out, "  {note}");
        }
        let slowest = self.slowest();
        let cells = |r: &&PerfRow| cells(r, self.latency_us() + self.cpu_us());
        let rows: Vec<[String; 10]> = slowest.iter().take(SLOWEST).map(cells).collect();
        let _ = write!(out, "\n{}", text_table::aligned(COLUMNS, &rows));
        if slowest.len() > SLOWEST {
            let _ = writeln!(out, "and {} faster ones: --json and --html have all", slowest.len() - SLOWEST);
        }
        if !self.has_details {
            out.push_str("compiled without details of layers (compile.debug = false): only the summary is known\n");
        }
        for (r, a) in slowest.iter().flat_map(|r| r.advice.first().map(|a| (r, a))).take(SLOWEST) {
            let _ = writeln!(out, "advice: {}: {a}", r.name);
        }
        let unsure: Vec<&str> = self.assumed().iter().map(|p| p.name).collect();
        let _ = writeln!(out, "assumed or fitted, not published: {}", unsure.join(", "));
        out
    }

    /// A section of `report.md`.
    pub fn markdown(&self) -> String {
        let mut out = format!("\n## Predicted performance\n\nOn {}, not measured.\n\n", self.stands_for);
        let figures: Vec<[String; 2]> = self.figures().into_iter().map(|(n, v)| [n.to_owned(), v]).collect();
        out.push_str(&text_table::markdown(["Figure", "Value"], &figures));
        if let Some(note) = nv12_note(self) {
            let _ = writeln!(out, "\n{note}.");
        }
        let whole = self.latency_us() + self.cpu_us();
        let rows: Vec<[String; 10]> = self.slowest().iter().take(SLOWEST).map(|r| cells(r, whole)).collect();
        let _ = write!(out, "\nThe slowest rows:\n\n{}", text_table::markdown(COLUMNS, &rows));
        let unsure: Vec<String> = self.assumed().iter().map(|p| format!("{} = {}", p.name, p.value)).collect();
        let _ = writeln!(out, "\nAssumed or fitted, not published: {}.", unsure.join(", "));
        out
    }
}

const COLUMNS: [&str; 10] =
    ["Row", "On", "Time, us", "Share", "Compute, us", "Load, us", "Store, us", "Bound, us", "Efficiency", "Limited by"];

fn cells(r: &PerfRow, whole: f64) -> [String; 10] {
    let us = |v: f64| format!("{v:.1}");
    [
        r.name.clone(),
        r.kind.on().to_owned(),
        us(r.time_us),
        format!("{:.1} %", ratio(r.time_us, whole) * 100.0),
        us(r.compute_us),
        us(r.load_us),
        us(r.store_us),
        us(r.bound_us),
        if r.kind == PerfKind::Layer { format!("{:.0} %", r.efficiency() * 100.0) } else { "-".to_owned() },
        r.limit.to_owned(),
    ]
}

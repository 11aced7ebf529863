//! A measured run as text, JSON and CSV: the fields of `hrt_model_exec perf` with `profile_path`, and what cuts cost.
//! Called by `ptq run --profile-out`.
//!
//! Times in files are milliseconds. Time of the host and simulated time never add up: `simulated` stands apart.

mod cuts;
mod files;
mod simulated;

pub use cuts::Cut;
pub use simulated::{Simulated, simulated};

use ptq_place::Place;
use ptq_runtime::{Model, Profile, RowKind};

/// A measured run.
pub struct ProfileReport<'a> {
    /// What ran.
    pub model: &'a Model,
    /// What was measured.
    pub profile: &'a Profile,
    /// Frames in flight.
    pub threads: usize,
    /// Threads inside a kernel.
    pub kernel_threads: usize,
    /// From the first frame's start to the last one's end, in nanoseconds.
    pub wall: u64,
    /// Milliseconds that reading and converting each input took, once, before the first frame.
    pub preparation: Vec<(String, f64)>,
    /// What the accelerator would take, by segment, or why that is not known; see [`simulated()`].
    pub simulated: Result<Vec<Simulated>, String>,
}

/// Mean times of a frame by kind of work, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// BPU segments.
    pub bpu: f64,
    /// CPU nodes.
    pub cpu: f64,
    /// Quantize and Dequantize.
    pub borders: f64,
    /// Layout conversions.
    pub layout: f64,
    /// Everything without a row.
    pub rest: f64,
}

impl ProfileReport<'_> {
    /// Frames a second.
    pub fn fps(&self) -> f64 {
        if self.wall == 0 { 0.0 } else { self.profile.frames().count as f64 * 1e9 / self.wall as f64 }
    }

    /// Where a frame's time goes.
    pub fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        for row in self.profile.rows() {
            let part = match row.kind {
                RowKind::Segment => &mut parts.bpu,
                RowKind::Cpu => &mut parts.cpu,
                RowKind::Quantize | RowKind::Dequantize => &mut parts.borders,
                RowKind::InputLayout | RowKind::OutputLayout => &mut parts.layout,
                RowKind::Layer => continue,
            };
            *part += row.time.mean();
        }
        let known = parts.bpu + parts.cpu + parts.borders + parts.layout;
        parts.rest = (self.profile.frames().mean() - known).max(0.0);
        parts
    }

    /// Lines for a terminal.
    pub fn text(&self) -> String {
        let frames = self.profile.frames();
        let mean = frames.mean();
        let share = |ns: f64| format!("{:.3} ms ({:.1}%)", ns / 1e6, percent(ns, mean));
        let parts = self.parts();
        let mut out = format!(
            "{} frames, {} threads: {:.1} FPS, latency {:.3} ms ({:.3} to {:.3})\n\
             host: BPU segments {}, CPU nodes {}, quantize and dequantize {}, layout {}, rest {}\n",
            frames.count,
            self.threads,
            self.fps(),
            mean / 1e6,
            frames.min as f64 / 1e6,
            frames.max as f64 / 1e6,
            share(parts.bpu),
            share(parts.cpu),
            share(parts.borders),
            share(parts.layout),
            share(parts.rest),
        );
        let cuts = cuts::cuts(self.model, self.profile);
        let inner: Vec<&Cut> = cuts.iter().filter(|c| c.place == Place::Cut).collect();
        let dearest = inner.iter().copied().max_by(|a, b| a.total().total_cmp(&b.total()));
        out += &match dearest {
            Some(cut) => format!("{} cuts; the dearest: {}, {}\n", inner.len(), cut.describe(), share(cut.total())),
            None => "no cuts: no BPU segment waits for a CPU node behind another one\n".to_owned(),
        };
        for cut in cuts.iter().filter(|c| c.place != Place::Cut) {
            out += &format!("{}: {}, {}\n", cut.place.word(), cut.describe(), share(cut.total()));
        }
        match self.simulated.as_deref() {
            Ok([]) => {}
            Ok(all) => {
                let (cycles, ms) = all.iter().fold((0, 0.0), |(c, ms), s| (c + s.cycles, ms + s.ms));
                out += &format!("simulated, apart from the above: BPU segments {ms:.3} ms, {cycles} cycles\n");
            }
            Err(why) => out += &format!("not simulated: {why}\n"),
        }
        out
    }
}

/// Part of a whole in percent; of nothing 0.
fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

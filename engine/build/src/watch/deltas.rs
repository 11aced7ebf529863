//! What a build changed in a variant's figures.

use crate::build::{BuildReport, VariantReport};
use ptq_cache::Digest;
use std::collections::BTreeMap;

/// The figures of a variant that matter from build to build.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Least cosine similarity of the outputs.
    pub min_cosine: Option<f64>,
    /// Size of `model.bin`, bytes.
    pub bin_bytes: Option<u64>,
    /// Time on the accelerator by the timed simulator, microseconds.
    pub latency_us: Option<f64>,
    /// Whether the variant is done.
    pub done: bool,
    /// Digest of what its stages made.
    pub made: Option<Digest>,
}

/// A variant that the last build changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Variant.
    pub name: String,
    /// Stages that ran for it.
    pub ran: Vec<String>,
    /// Figures before, when there was a build before.
    pub before: Option<Figures>,
    /// Figures now.
    pub now: Figures,
}

/// Variants whose figures changed or whose stages ran; `last` gains what is now.
pub(super) fn changes(last: &mut BTreeMap<String, Figures>, report: &BuildReport) -> Vec<Change> {
    let mut out = Vec::new();
    for variant in &report.variants {
        let known = last.get(&variant.name).copied();
        let now = figures(variant, known);
        let ran: Vec<String> =
            report.work.iter().filter(|w| w.variant == variant.name).map(|w| w.stage.clone()).collect();
        if known != Some(now) || !ran.is_empty() {
            out.push(Change { name: variant.name.clone(), ran, before: known, now });
        }
        last.insert(variant.name.clone(), now);
    }
    out
}

/// A variant's figures; one that failed keeps those of its last build, one that was left alone what it was made of.
fn figures(variant: &VariantReport, known: Option<Figures>) -> Figures {
    let known = known.unwrap_or_default();
    if !variant.is_done() {
        return Figures { done: false, ..known };
    }
    Figures {
        min_cosine: variant.min_cosine,
        bin_bytes: variant.bin_bytes,
        latency_us: variant.latency_us,
        done: true,
        made: variant.made.or(known.made),
    }
}

impl Change {
    /// How much the figures moved, for an order: failures first, then what changed most.
    pub fn weight(&self) -> f64 {
        let share = |now: Option<f64>, before: Option<f64>| match (now, before) {
            (Some(now), Some(before)) => ((now - before) / before.abs().max(1e-9)).abs(),
            _ => 0.0,
        };
        let of = |before: Figures| {
            let bytes = |f: Figures| f.bin_bytes.map(|b| b as f64);
            share(self.now.min_cosine, before.min_cosine)
                .max(share(self.now.latency_us, before.latency_us))
                .max(share(bytes(self.now), bytes(before)))
        };
        if self.now.done { self.before.map_or(f64::MAX, of) } else { f64::INFINITY }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)?;
        if !self.now.done {
            return f.write_str("  failed");
        }
        if let Some(now) = self.now.min_cosine {
            match self.before.and_then(|b| b.min_cosine).filter(|b| *b != now) {
                Some(before) => write!(f, "  cosine {before:.6} → {now:.6} ({:+.6})", now - before)?,
                None => write!(f, "  cosine {now:.6}")?,
            }
        }
        if let Some(now) = self.now.latency_us {
            match self.before.and_then(|b| b.latency_us).filter(|b| *b != now) {
                Some(before) => {
                    let share = (now / before.max(1e-9) - 1.0) * 100.0;
                    write!(f, "  latency {before:.1} → {now:.1} us ({share:+.1}%)")?;
                }
                None => write!(f, "  latency {now:.1} us")?,
            }
        }
        if let Some(now) = self.now.bin_bytes {
            let kib = |bytes: u64| bytes as f64 / 1024.0;
            match self.before.and_then(|b| b.bin_bytes).filter(|b| *b != now) {
                Some(before) => {
                    let share = (now as f64 / before.max(1) as f64 - 1.0) * 100.0;
                    write!(f, "  model.bin {:.1} → {:.1} KiB ({share:+.1}%)", kib(before), kib(now))?;
                }
                None => write!(f, "  model.bin {:.1} KiB", kib(now))?,
            }
        }
        if self.ran.is_empty() { Ok(()) } else { write!(f, "  [{}]", self.ran.join(" ")) }
    }
}

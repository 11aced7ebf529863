//! What the accelerator would take for a compiled model, predicted: the timed simulator on the figures of its march, the
//! nodes and borders on the CPU beside it. Called by `ptq perf` and for `report.md`.
//!
//! [`Performance::of`] is the whole answer; [`Performance::json`], [`Performance::text`], [`Performance::trace`] and
//! [`Performance::page`] show it. All of it is a pure function of the compiled model and its march file. Times are
//! microseconds of the target, never of the machine that computes them.

mod advice;
mod bins;
mod frames;
mod host;
mod json;
mod measured;
mod page;
mod rows;
mod text;
mod trace;

pub use advice::Advice;
pub use frames::InputUse;
pub use host::HOST_FIGURES;
pub use measured::Measured;
pub use rows::{PerfRow, RowKind as PerfKind};

use ptq_march::{Hardware, March, Parameter, Provenance};
use ptq_sim::artifact::{Body, Model};
use ptq_sim::timing::Timing;

/// A prediction for one compiled model.
#[derive(Clone, Debug)]
pub struct Performance {
    /// Name of the model.
    pub model: String,
    /// Name of its march.
    pub march: String,
    /// What the march stands for.
    pub stands_for: String,
    /// Level that the model was compiled at.
    pub optimize_level: String,
    /// Figures of the march.
    pub hardware: Hardware,
    /// Images or other items that one run computes.
    pub frames_per_run: u64,
    /// Inputs of the model as they arrive.
    pub inputs: Vec<InputUse>,
    /// Programs in order of the run.
    pub calls: Vec<Call>,
    /// Whether the model was compiled with details of its layers; without them there are no names.
    pub has_details: bool,
    /// Every layer of a program, node and border on the CPU, in order of the run.
    pub rows: Vec<PerfRow>,
    /// Bytes of nv12 frames that the simulated transfers count twice, because they move three planes of full size.
    pub expanded_bytes: u64,
}

/// One program of the model.
#[derive(Clone, Debug)]
pub struct Call {
    /// Position of its segment.
    pub segment: usize,
    /// Id shown as `id(n)`.
    pub subgraph: Option<u32>,
    /// When it starts, in microseconds of a run.
    pub start_us: f64,
    /// Its timing, in cycles.
    pub timing: Timing,
    /// Core and layer of each command.
    pub commands: Vec<(u8, u16)>,
    /// Checksums (CRC-32) of its commands and of its constants.
    pub crc: [u32; 2],
}

impl Performance {
    /// Predicts a compiled model. `march` is the text of the march file that it was compiled for.
    ///
    /// # Errors
    /// Why there is no prediction: another version of the march, a march without an accelerator.
    pub fn of(model: &Model, march: &str) -> Result<Performance, String> {
        if blake3::hash(march.as_bytes()).as_bytes() != &model.march_hash {
            return Err(format!("the model was compiled for another version of march {}", model.march));
        }
        let parsed =
            March::from_toml(march).map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let hardware = parsed.hardware.ok_or_else(|| {
            format!("march {} has no accelerator to predict; its hardware is here, so it is measured", model.march)
        })?;
        let mut calls = Vec::new();
        let mut rows = rows::Rows::new(model, &hardware);
        for (at, segment) in model.segments.iter().enumerate() {
            match &segment.body {
                Body::Npu(npu) => {
                    let timing = Timing::of_segment(model, segment, npu, &hardware);
                    let crc = [crc32(&npu.program.command_bytes()), crc32(&npu.program.constants)];
                    let commands = npu.program.commands.iter().map(|r| (r.core, r.layer)).collect();
                    let (subgraph, start_us) = (segment.subgraph, rows.now());
                    let call = Call { segment: at, subgraph, start_us, timing, commands, crc };
                    rows.program(at, segment, npu, &call.timing);
                    calls.push(call);
                }
                Body::Float(nodes) | Body::Int(nodes) => rows.nodes(at, segment, nodes),
            }
        }
        let (rows, expanded_bytes) = rows.finish();
        Ok(Performance {
            model: model.name.clone(),
            march: model.march.clone(),
            stands_for: parsed.stands_for,
            optimize_level: model.optimize_level.clone(),
            hardware,
            frames_per_run: frames::per_run(model),
            inputs: frames::inputs(model),
            calls,
            has_details: model.debug,
            rows,
            expanded_bytes,
        })
    }

    /// [`Performance::of`] of a `.bin`.
    ///
    /// # Errors
    /// When it does not read, and as [`Performance::of`].
    pub fn of_bin(bin: &[u8], march: &str) -> Result<Performance, String> {
        Performance::of(&ptq_sim::artifact::decode(bin).map_err(|e| e.to_string())?, march)
    }

    /// Microseconds of some cycles.
    pub(crate) fn us(&self, cycles: u64) -> f64 {
        cycles as f64 / f64::from(self.hardware.clock_mhz)
    }

    /// Cores that one run uses.
    pub fn cores_per_run(&self) -> u32 {
        self.calls.iter().map(|c| u32::from(c.timing.cores)).max().unwrap_or(1)
    }

    /// Time that cores of one run spend on meeting each other.
    pub fn multicore_sync_us(&self) -> f64 {
        self.us(self.sum(|t| t.multicore_sync))
    }

    fn sum(&self, of: fn(&Timing) -> u64) -> u64 {
        self.calls.iter().map(|c| of(&c.timing)).sum()
    }

    /// Cycles of all programs of a run.
    pub fn cycles(&self) -> u64 {
        self.sum(|t| t.cycles)
    }

    /// Time of a run on the accelerator.
    pub fn latency_us(&self) -> f64 {
        self.us(self.cycles())
    }

    /// Assumed time of the nodes and borders on the CPU of a run.
    pub fn cpu_us(&self) -> f64 {
        self.rows.iter().filter(|r| r.kind != PerfKind::Layer).map(|r| r.time_us).sum()
    }

    /// Time that no program for this work can beat.
    pub fn roofline_us(&self) -> f64 {
        self.us(self.sum(|t| t.bound.cycles()))
    }

    /// Bytes loaded in a run; nv12 frames as they arrive.
    pub fn loaded_bytes(&self) -> u64 {
        self.sum(|t| t.loaded_bytes) - self.expanded_bytes
    }

    /// Bytes stored in a run.
    pub fn stored_bytes(&self) -> u64 {
        self.sum(|t| t.stored_bytes)
    }

    /// Bytes from and to DDR in a run.
    pub fn ddr_bytes(&self) -> u64 {
        self.loaded_bytes() + self.stored_bytes()
    }

    /// Multiply-accumulates of a run.
    pub fn macs(&self) -> u64 {
        self.sum(|t| t.macs)
    }

    /// Multiply-accumulates a cycle of the whole matrix unit.
    pub fn peak_macs(&self) -> u64 {
        let mac = &self.hardware.mac;
        u64::from(mac.ic) * u64::from(mac.oc) * u64::from(mac.px)
    }

    /// Share of the matrix unit's multipliers that the whole run uses.
    pub fn mac_efficiency(&self) -> f64 {
        ratio(self.macs() as f64, (self.cycles() * self.peak_macs() * u64::from(self.cores_per_run())) as f64)
    }

    /// Share of a run in which a computing unit is busy.
    pub fn busy(&self) -> f64 {
        ratio(self.sum(|t| t.layers.iter().map(|l| l.compute).sum()) as f64, self.cycles() as f64).min(1.0)
    }

    /// Frames a second with this many cores busy, each on runs of its own, or as many as one run uses together; they share
    /// the connection to DDR.
    pub fn fps(&self, cores: u32) -> f64 {
        let ddr = self.sum(|t| t.layers.iter().map(|l| l.load + l.store).sum());
        let runs = (cores / self.cores_per_run()).max(1);
        let cycles = (self.cycles() as f64 / f64::from(runs)).max(ddr as f64);
        ratio(f64::from(self.hardware.clock_mhz) * 1e6 * self.frames_per_run as f64, cycles)
    }

    /// Every figure that the prediction rests on: the march's, then those of the host.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.hardware.parameters().into_iter().chain(HOST_FIGURES).collect()
    }

    /// Those that nobody published or measured.
    pub fn assumed(&self) -> Vec<Parameter> {
        let unsure = |p: &Parameter| matches!(p.provenance, Provenance::Assumed | Provenance::Fitted);
        self.parameters().into_iter().filter(unsure).collect()
    }
}

/// A quotient; of nothing 0.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// CRC-32 (ISO 3309, polynomial 0xEDB88320), as the vendor's summary has for the program and its parameters.
fn crc32(bytes: &[u8]) -> u32 {
    let table: [u32; 256] =
        std::array::from_fn(|i| (0..8).fold(i as u32, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 }));
    !bytes.iter().fold(u32::MAX, |c, &b| table[usize::from(c as u8 ^ b)] ^ (c >> 8))
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn the_checksum_is_the_standard_one() {
        // The check value of the algorithm's definition.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}

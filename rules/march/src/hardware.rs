//! Hardware parameters for compile and the simulator.

use crate::Provenance;
use ptq_ir::Diagnostic;
use serde::{Deserialize, Serialize};

/// Matrix unit: multiply-accumulates per cycle along three axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacArray {
    /// Input channels per cycle.
    pub ic: u32,
    /// Output channels per cycle.
    pub oc: u32,
    /// Output pixels per cycle.
    pub px: u32,
    /// Multiply-accumulates per cycle of a depthwise convolution.
    pub dw_lanes: u32,
}

/// One accelerator core and its memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Clock in MHz.
    pub clock_mhz: u32,
    /// Cores.
    pub cores: u32,
    /// Matrix unit.
    pub mac: MacArray,
    /// Elements per cycle of the vector unit.
    pub vector_lanes: u32,
    /// Scratch memory of a core in bytes.
    pub sram_bytes: u32,
    /// Banks of the scratch memory.
    pub sram_banks: u32,
    /// Alignment of addresses in bytes; a power of two.
    pub align: u32,
    /// External memory bandwidth in bytes per cycle.
    pub ddr_bytes_per_cycle: f64,
    /// Latency of an external access in cycles.
    pub ddr_latency_cycles: u32,
    /// Cycles to issue a transfer.
    pub dma_issue_cycles: u32,
    /// Cycles to issue a command.
    pub cmd_issue_cycles: u32,
    /// Cycles of a synchronization.
    pub sync_cycles: u32,
    /// Where these figures come from, as a whole.
    pub provenance: Provenance,
}

impl Hardware {
    pub(crate) fn check(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let mut require = |ok: bool, what: &str| {
            if !ok {
                problems.push(Diagnostic::error("MARCH04", format!("hardware: {what}")));
            }
        };
        require(self.align.is_power_of_two(), "align must be a power of two");
        require(self.sram_bytes >= 4096, "sram_bytes must be at least 4096");
        require(self.sram_banks > 0 && self.cores > 0, "sram_banks and cores must be positive");
        let mac = [self.mac.ic, self.mac.oc, self.mac.px, self.mac.dw_lanes, self.vector_lanes, self.clock_mhz];
        require(mac.iter().all(|&v| v > 0), "unit widths and clock must be positive");
        require(self.ddr_bytes_per_cycle > 0.0, "ddr_bytes_per_cycle must be positive");
        problems
    }
}

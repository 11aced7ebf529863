//! Hardware parameters for compile and the simulator.

use crate::Provenance;
use ptq_ir::Diagnostic;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Input channels are padded to a multiple of this.
    pub channel_multiple: u32,
}

/// What feeds and empties the units of a target, where that is known: figures beside the numbers of lanes. Without this
/// table, weights, constants and results never keep a unit waiting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// Taps of a window are padded to a multiple of this.
    pub tap_multiple: u32,
    /// Weights that reach the matrix unit in a cycle; 0 for any number.
    pub weights_per_cycle: u32,
    /// Cycles of a fold (one set of weights in all lanes) beside those of its pixels: loading, filling, draining.
    pub fold_cycles: u32,
    /// Results that leave the matrix unit in a cycle; 0 for any number.
    pub results_per_cycle: u32,
    /// Results of a block, which the accumulators hold; 0 where results are not cut into blocks.
    pub block_results: u32,
    /// Most channels of a block.
    pub block_channels: u32,
    /// Cycles for reading bias and scale of each channel of a block.
    pub channel_cycles: f64,
    /// Pixels among the lanes of depthwise convolutions and pools, the rest are channels; 0 where it does not matter.
    pub dw_px: u32,
    /// Taps of pools in a cycle; 0 for those of the vector unit.
    pub pool_lanes: u32,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed {
            tap_multiple: 1,
            weights_per_cycle: 0,
            fold_cycles: 0,
            results_per_cycle: 0,
            block_results: 0,
            block_channels: u32::MAX,
            channel_cycles: 0.0,
            dw_px: 0,
            pool_lanes: 0,
        }
    }
}

impl Feed {
    /// Whether nothing ever waits.
    pub fn is_free(&self) -> bool {
        *self == Feed::default()
    }
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
    /// What feeds the units; mostly left out.
    #[serde(default, skip_serializing_if = "Feed::is_free")]
    pub feed: Feed,
    /// Elements per cycle of the vector unit.
    pub vector_lanes: u32,
    /// Bytes per cycle that the transform unit moves.
    pub trans_bytes_per_cycle: u32,
    /// Scratch memory of a core in bytes.
    pub sram_bytes: u32,
    /// Banks of the scratch memory; neighbouring units of `align` bytes lie in neighbouring banks.
    pub sram_banks: u32,
    /// Bytes per cycle of one bank.
    pub sram_bank_bytes_per_cycle: u32,
    /// Alignment of addresses in bytes; a power of two.
    pub align: u32,
    /// External memory bandwidth in bytes per cycle.
    pub ddr_bytes_per_cycle: f64,
    /// Bytes of a burst: a run of a transfer takes whole bursts.
    pub ddr_burst_bytes: u32,
    /// Latency of an external access in cycles.
    pub ddr_latency_cycles: u32,
    /// Cycles to issue a transfer.
    pub dma_issue_cycles: u32,
    /// Cycles to issue a command.
    pub cmd_issue_cycles: u32,
    /// Cycles of a synchronization.
    pub sync_cycles: u32,
    /// Where these figures come from, apart from those in `sources`.
    pub provenance: Provenance,
    /// Where single figures come from, by the names of [`Hardware::parameters`].
    #[serde(default)]
    pub sources: BTreeMap<String, Provenance>,
}

/// One figure of a target, for reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Key in the march file.
    pub name: &'static str,
    /// Value.
    pub value: f64,
    /// Unit of the value.
    pub unit: &'static str,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl Hardware {
    /// Every figure with its unit and provenance, in the order of the file, then those of `feed` where there are any.
    pub fn parameters(&self) -> Vec<Parameter> {
        let figures: [(&'static str, f64, &'static str); 19] = [
            ("clock_mhz", self.clock_mhz.into(), "MHz"),
            ("cores", self.cores.into(), ""),
            ("mac.ic", self.mac.ic.into(), "input channels a cycle"),
            ("mac.oc", self.mac.oc.into(), "output channels a cycle"),
            ("mac.px", self.mac.px.into(), "pixels a cycle"),
            ("mac.dw_lanes", self.mac.dw_lanes.into(), "depthwise MACs a cycle"),
            ("mac.channel_multiple", self.mac.channel_multiple.into(), "channels"),
            ("vector_lanes", self.vector_lanes.into(), "elements a cycle"),
            ("trans_bytes_per_cycle", self.trans_bytes_per_cycle.into(), "bytes a cycle"),
            ("sram_bytes", self.sram_bytes.into(), "bytes"),
            ("sram_banks", self.sram_banks.into(), ""),
            ("sram_bank_bytes_per_cycle", self.sram_bank_bytes_per_cycle.into(), "bytes a cycle"),
            ("align", self.align.into(), "bytes"),
            ("ddr_bytes_per_cycle", self.ddr_bytes_per_cycle, "bytes a cycle"),
            ("ddr_burst_bytes", self.ddr_burst_bytes.into(), "bytes"),
            ("ddr_latency_cycles", self.ddr_latency_cycles.into(), "cycles"),
            ("dma_issue_cycles", self.dma_issue_cycles.into(), "cycles"),
            ("cmd_issue_cycles", self.cmd_issue_cycles.into(), "cycles"),
            ("sync_cycles", self.sync_cycles.into(), "cycles"),
        ];
        let provenance = |name: &str| self.sources.get(name).copied().unwrap_or(self.provenance);
        let f = &self.feed;
        let feed: [(&'static str, f64, &'static str); 9] = [
            ("feed.tap_multiple", f.tap_multiple.into(), "taps"),
            ("feed.weights_per_cycle", f.weights_per_cycle.into(), "weights a cycle"),
            ("feed.fold_cycles", f.fold_cycles.into(), "cycles"),
            ("feed.results_per_cycle", f.results_per_cycle.into(), "results a cycle"),
            ("feed.block_results", f.block_results.into(), "results"),
            ("feed.block_channels", f.block_channels.into(), "channels"),
            ("feed.channel_cycles", f.channel_cycles, "cycles a channel"),
            ("feed.dw_px", f.dw_px.into(), "pixels a cycle"),
            ("feed.pool_lanes", f.pool_lanes.into(), "taps a cycle"),
        ];
        let feed = feed.into_iter().filter(|_| !f.is_free());
        let all = figures.into_iter().chain(feed);
        all.map(|(name, value, unit)| Parameter { name, value, unit, provenance: provenance(name) }).collect()
    }

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
        let mac = [self.mac.ic, self.mac.oc, self.mac.px, self.mac.dw_lanes, self.mac.channel_multiple];
        let units = [self.vector_lanes, self.trans_bytes_per_cycle, self.sram_bank_bytes_per_cycle, self.clock_mhz];
        require(mac.iter().chain(&units).all(|&v| v > 0), "unit widths and clock must be positive");
        require(self.ddr_bytes_per_cycle >= 1.0 / 1024.0, "ddr_bytes_per_cycle must be at least 1/1024");
        require(self.ddr_bytes_per_cycle.is_finite(), "ddr_bytes_per_cycle must be finite");
        require(self.ddr_burst_bytes > 0, "ddr_burst_bytes must be positive");
        let feed = &self.feed;
        require(feed.tap_multiple > 0, "feed.tap_multiple must be positive");
        require(feed.block_channels > 0, "feed.block_channels must be positive");
        require(
            feed.channel_cycles.is_finite() && feed.channel_cycles >= 0.0,
            "feed.channel_cycles must not be negative",
        );
        let names: Vec<&str> = self.parameters().iter().map(|p| p.name).collect();
        for name in self.sources.keys() {
            require(names.contains(&name.as_str()), &format!("sources names {name}, which is no parameter"));
        }
        problems
    }
}

//! What a command costs by itself, without waiting.
//!
//! CONV, DWCONV, MATMUL and windows: `array`. The vector unit handles
//! `vector_lanes` elements a cycle: a tap of a window, a sum, a product, a table look-up each; four taps a linear
//! interpolation, four passes over a line a Softmax (largest, table, sum, quotient). TRANS and GATHER move `trans_bytes_per_cycle`. The matrix unit multiplies bytes: a 16-bit operand takes it
//! two passes, two of them four (assumed); the vector unit's lanes hold bytes, so that 16-bit results take it two cycles.
//!
//! Operands come from the banks of the SRAM. Streams (operands and the result) that begin in the same bank meet in every
//! cycle and wait for each other, so the command takes at least `bytes · most streams in one bank / all banks' width`.
//! The matrix unit reads its input once for each pass over its output channels.

use super::array::{array_cycles, dw_cycles, pool_cycles, product_cycles};
use crate::access::operands;
use crate::{Command, Elem, Interp, Sram, Transfer};
use ptq_march::Hardware;

/// Cost of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Cycles in which its unit, or for a transfer the connection to DDR, is busy; issuing not included.
    pub cycles: u64,
    /// Of these, cycles that the unit spends only because of bank conflicts or the width of the SRAM.
    pub memory: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Multiply-accumulates of the lanes that are occupied meanwhile.
    pub working_macs: f64,
    /// Cycles of a matrix unit that is always full.
    pub ideal_mac: f64,
}

/// The cost of a command on a target. SYNC and END cost nothing here.
pub fn cost(command: &Command, hw: &Hardware) -> Cost {
    let vector = |elements: u64| elements.div_ceil(hw.vector_lanes.into());
    let moved = |bytes: u64| bytes.div_ceil(hw.trans_bytes_per_cycle.into());
    match command {
        Command::Load(t) | Command::Store(t) => Cost { cycles: ddr_cycles(t, hw), ..Cost::default() },
        Command::Conv(c) => {
            let peak = u64::from(hw.mac.ic) * u64::from(hw.mac.oc) * u64::from(hw.mac.px);
            let passes = u64::from(c.out_hwc[2]).div_ceil(hw.mac.oc.into()).max(1);
            let cycles = array_cycles(c, hw);
            let working_macs = (cycles * peak) as f64;
            let ideal_mac = (halves(c.x_type) * c.macs()) as f64 / peak as f64;
            Cost { macs: c.macs(), working_macs, ideal_mac, ..limited(command, cycles, passes, hw) }
        }
        Command::DwConv(c) => {
            let cycles = dw_cycles(c, hw);
            let ideal_mac = (halves(c.x_type) * c.macs()) as f64 / f64::from(hw.mac.dw_lanes);
            let working_macs = cycles as f64 * f64::from(hw.mac.dw_lanes);
            Cost { macs: c.macs(), working_macs, ideal_mac, ..limited(command, cycles, 1, hw) }
        }
        Command::MatMul(c) => {
            let passes = u64::from(c.mkn[2]).div_ceil(hw.mac.oc.into()).max(1);
            let wide = halves(c.a_type) * halves(c.b_type);
            let cycles = wide * product_cycles(c.mkn.map(u64::from), hw);
            let peak = u64::from(hw.mac.ic) * u64::from(hw.mac.oc) * u64::from(hw.mac.px);
            let ideal_mac = (wide * c.macs()) as f64 / peak as f64;
            let working_macs = (cycles * peak) as f64;
            Cost { macs: c.macs(), working_macs, ideal_mac, ..limited(command, cycles, passes, hw) }
        }
        Command::Softmax(_) => limited(command, vector(4 * operands(command).1.1), 1, hw),
        Command::Pool(c) => limited(command, pool_cycles(c, hw), 1, hw),
        Command::Interp(c) => limited(command, vector(4 * interp_elements(c)), 1, hw),
        Command::Eltwise(_) | Command::Lut(_) => limited(command, vector(operands(command).1.1), 1, hw),
        Command::Trans(_) | Command::Gather(_) => limited(command, moved(operands(command).1.1), 1, hw),
        Command::Sync | Command::End => Cost::default(),
    }
}

/// Bytes of a factor.
pub(super) fn halves(elem: Elem) -> u64 {
    if elem == Elem::I16 { 2 } else { 1 }
}

fn interp_elements(c: &Interp) -> u64 {
    u64::from(c.out_hw[0]) * u64::from(c.out_hw[1]) * u64::from(c.channels)
}

/// Cycles of a unit, or of the SRAM where that is slower. `passes`: how often the first operand is read.
fn limited(command: &Command, cycles: u64, passes: u64, hw: &Hardware) -> Cost {
    let (reads, write) = operands(command);
    let streams = reads.iter().chain([&write]).filter(|(_, bytes)| *bytes > 0);
    let bank = |at: Sram| at.0 / hw.align % hw.sram_banks;
    let together = streams.clone().map(|(at, _)| streams.clone().filter(|(b, _)| bank(*at) == bank(*b)).count());
    let most = together.max().unwrap_or(1) as u64;
    let again = reads.first().map_or(0, |(_, bytes)| bytes.saturating_mul(passes - 1));
    let bytes = streams.map(|(_, bytes)| *bytes).fold(again, u64::saturating_add);
    let width = u64::from(hw.sram_banks) * u64::from(hw.sram_bank_bytes_per_cycle);
    let sram = bytes.saturating_mul(most).div_ceil(width);
    Cost { cycles: cycles.max(sram).max(1), memory: sram.saturating_sub(cycles), ..Cost::default() }
}

/// Cycles on the connection to DDR: whole bursts for every run.
fn ddr_cycles(t: &Transfer, hw: &Hardware) -> u64 {
    let runs = u64::from(t.outer[0]) * u64::from(t.outer[1]);
    let bytes = runs.saturating_mul(u64::from(t.bytes).next_multiple_of(hw.ddr_burst_bytes.into()));
    (bytes as f64 / hw.ddr_bytes_per_cycle).ceil() as u64
}

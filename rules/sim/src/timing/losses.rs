//! Where a layer's cycles go beyond those of an ideal machine: padding, banks, bursts, bytes that are loaded twice, issuing.
//! Called by reports and by compile's advice. The formulas are those of `cost`, one factor at a time.

use super::array::{array_cycles, dw_cycles};
use super::bound::Bytes;
use super::cost::cost;
use crate::{Command, Conv, Program};
use ptq_march::{Feed, Hardware};
use std::collections::BTreeMap;

/// What occupies a layer's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occupied {
    /// A computing unit.
    Compute,
    /// The connection to DDR.
    Ddr,
    /// The queues: cycles in which commands are issued.
    Issue,
}

/// Cycles that a layer loses to one cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// What loses them.
    pub of: Occupied,
    /// The cause in words, such as `channels 3 -> 4 padded`.
    pub what: String,
    /// Cycles lost; of a cause that acts together with others, those that vanish with it alone.
    pub cycles: f64,
}

/// Losses of every layer of a program, in its order, the largest first.
pub fn losses(program: &Program, hardware: &Hardware) -> Vec<Vec<Loss>> {
    let mut sums: Vec<BTreeMap<(Occupied, String), f64>> = vec![BTreeMap::new(); program.layers.len()];
    let mut loaded: Vec<(Bytes, u64)> = vec![(Bytes::default(), 0); program.layers.len()];
    let mut commands = vec![0u64; program.layers.len()];
    for record in &program.commands {
        let layer = usize::from(record.layer);
        let (Some(sum), Some(_)) = (sums.get_mut(layer), record.command.queue()) else { continue };
        commands[layer] += 1;
        let busy = cost(&record.command, hardware);
        let mut add = |of, what: String, cycles: f64| {
            if cycles > 0.0 {
                *sum.entry((of, what)).or_insert(0.0) += cycles;
            }
        };
        match &record.command {
            Command::Conv(c) => {
                array(c, hardware, &mut add);
                let free = Hardware {
                    feed: Feed { tap_multiple: hardware.feed.tap_multiple, ..Feed::default() },
                    ..hardware.clone()
                };
                let waits = array_cycles(c, hardware) - array_cycles(c, &free);
                add(Occupied::Compute, "waits for weights, constants or results".to_owned(), waits as f64);
            }
            Command::DwConv(c) => {
                let outputs: u64 = c.out_hwc.iter().map(|&v| u64::from(v)).product();
                let padded = outputs.next_multiple_of(hardware.mac.dw_lanes.into());
                let lost = dw_cycles(c, hardware) as f64 * (1.0 - outputs as f64 / padded as f64);
                add(Occupied::Compute, format!("outputs {outputs} -> {padded} lanes"), lost);
            }
            Command::Load(t) | Command::Store(t) => {
                let whole = u64::from(t.bytes).next_multiple_of(hardware.ddr_burst_bytes.into());
                let lost = busy.cycles as f64 * (1.0 - f64::from(t.bytes) / whole as f64);
                add(Occupied::Ddr, format!("runs of {} bytes take {whole} in bursts", t.bytes), lost);
                if matches!(record.command, Command::Load(_)) {
                    loaded[layer].0.add_runs(t);
                    loaded[layer].1 += t.total_bytes();
                }
            }
            _ => {}
        }
        add(Occupied::Compute, "operands meet in banks of the SRAM".to_owned(), busy.memory as f64);
    }
    for ((sum, (bytes, all)), commands) in sums.iter_mut().zip(&loaded).zip(commands) {
        let again = all.saturating_sub(bytes.total());
        if again > 0 {
            let what = format!("{again} of {all} loaded bytes are loaded again");
            sum.insert((Occupied::Ddr, what), again as f64 / hardware.ddr_bytes_per_cycle);
        }
        if commands > 0 {
            let what = format!("{commands} commands to issue");
            let cycles = commands * u64::from(hardware.cmd_issue_cycles);
            sum.insert((Occupied::Issue, what), cycles as f64);
        }
    }
    sums.into_iter().map(sorted).collect()
}

fn sorted(sum: BTreeMap<(Occupied, String), f64>) -> Vec<Loss> {
    let mut out: Vec<Loss> = sum.into_iter().map(|((of, what), cycles)| Loss { of, what, cycles }).collect();
    out.sort_by(|a, b| b.cycles.total_cmp(&a.cycles));
    out
}

/// Lanes of the matrix unit that a convolution leaves idle, by axis.
fn array(c: &Conv, hw: &Hardware, add: &mut impl FnMut(Occupied, String, f64)) {
    let cycles = array_cycles(c, hw) as f64;
    let taps = u64::from(c.kernel[0]) * u64::from(c.kernel[1]);
    let channels = u64::from(c.group_channels);
    let padded = channels.next_multiple_of(hw.mac.channel_multiple.into());
    let groups = (u64::from(c.in_hwc[2]) / channels.max(1)).max(1);
    let filters = (u64::from(c.out_hwc[2]) / groups).max(1);
    let pixels = u64::from(c.out_hwc[0]) * u64::from(c.out_hwc[1]);
    let mut idle = |used: u64, taken: u64, what: String| {
        add(Occupied::Compute, what, cycles * (1.0 - used as f64 / taken as f64));
    };
    idle(channels, padded, format!("channels {channels} -> {padded} padded"));
    let (depth, lanes) = (taps * padded, (taps * padded).next_multiple_of(hw.mac.ic.into()));
    idle(depth, lanes, format!("taps x channels {depth} -> {lanes} lanes"));
    let columns = filters.next_multiple_of(hw.mac.oc.into());
    idle(filters, columns, format!("output channels {filters} -> {columns} lanes"));
    let rows = pixels.next_multiple_of(hw.mac.px.into());
    idle(pixels, rows, format!("pixels {pixels} -> {rows} lanes"));
}

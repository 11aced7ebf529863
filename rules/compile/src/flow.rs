//! Commands over buffers that have no address yet: what a plan becomes before loads are moved and memory is given out.

use crate::ddr::Place;
use ptq_sim::{Command, Record};

/// A command with the place that its DDR address will be, if it is a transfer.
pub(crate) type Emitted = (Record, Option<Place>);

/// Where an operand is: a buffer and bytes into it. `None` where nothing is read.
pub(crate) type Operand = Option<(u32, u64)>;

/// A command whose SRAM addresses are operands: those that it reads, then the one that it writes.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) record: Record,
    pub(crate) place: Option<Place>,
    pub(crate) operands: Vec<Operand>,
}

/// Steps in an order in which they can run, and the sizes of their buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    pub(crate) steps: Vec<Step>,
    pub(crate) buffers: Vec<u64>,
}

impl Flow {
    /// A new buffer.
    pub(crate) fn buffer(&mut self, bytes: usize) -> u32 {
        self.buffers.push(bytes as u64);
        (self.buffers.len() - 1) as u32
    }

    /// Adds a command.
    pub(crate) fn push(&mut self, record: Record, place: Option<Place>, operands: Vec<Operand>) {
        self.steps.push(Step { record, place, operands });
    }

    /// Adds a layer's commands, whose addresses belong to that layer alone: every tile that is written becomes a buffer
    /// of its own, so that the next one may be loaded while this one is used. `None` when a command reads what no single
    /// command wrote.
    pub(crate) fn import(&mut self, layer: &[Emitted]) -> Option<()> {
        // Tiles as (start, end, buffer).
        let mut tiles: Vec<(u64, u64, u32)> = Vec::new();
        for (record, place) in layer.iter().filter(|(r, _)| r.command != Command::Sync) {
            let mut operands = Vec::new();
            for (at, bytes) in record.command.sram_reads() {
                let at = u64::from(at.0);
                operands.push(match tiles.iter().find(|t| t.0 <= at && at + bytes <= t.1) {
                    Some(tile) if bytes > 0 => Some((tile.2, at - tile.0)),
                    _ if bytes == 0 => None,
                    _ => return None,
                });
            }
            if let Some((at, bytes)) = record.command.sram_write() {
                let (start, end) = (u64::from(at.0), u64::from(at.0) + bytes);
                tiles.retain(|t| t.1 <= start || end <= t.0);
                let buffer = self.buffer(bytes as usize);
                tiles.push((start, end, buffer));
                operands.push(Some((buffer, 0)));
            }
            self.push(*record, *place, operands);
        }
        Some(())
    }
}

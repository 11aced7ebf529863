//! A program: commands, constants and the sizes of its memories.

use crate::{Command, RECORD_BYTES, Record, RecordError};
use bytes::Bytes;

/// Bytes of constants for one output channel of a convolution: bias, multiplier, shift.
pub const CHANNEL_CONSTANT_BYTES: usize = 12;

/// Bytes of constants for one tap count of an average: multiplier, shift.
pub const TAP_CONSTANT_BYTES: usize = 8;

/// Largest scratch memory that is simulated, in bytes.
const MAX_SRAM: u32 = 1 << 28;

/// Largest external memory that is simulated, in bytes.
const MAX_DDR: u32 = 1 << 31;

/// Commands over DDR and SRAM. DDR holds the constants at address 0 and behind them everything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Commands in order; the last one is END.
    pub commands: Vec<Record>,
    /// Weights, requantization constants and tables: the first bytes of DDR.
    pub constants: Bytes,
    /// Bytes of SRAM.
    pub sram_bytes: u32,
    /// Alignment of SRAM addresses; a power of two.
    pub align: u32,
    /// Bytes of DDR, constants included.
    pub ddr_bytes: u32,
    /// Names of the layers that records refer to.
    pub layers: Vec<String>,
}

/// Why a program is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The command bytes are not a whole number of records.
    #[error("{0} bytes of commands are not a whole number of {RECORD_BYTES}-byte records")]
    Length(usize),
    /// A record does not decode.
    #[error("command {index}: {error}")]
    Record {
        /// Position.
        index: usize,
        /// What is wrong with it.
        error: RecordError,
    },
    /// A record names another layer than the one that the SYNCs before it leave open.
    #[error("command {index} says layer {layer}, but it belongs to layer {open} of {layers}")]
    Layer {
        /// Position.
        index: usize,
        /// Layer that it names.
        layer: u16,
        /// Layer that is open there.
        open: usize,
        /// Layers there are.
        layers: usize,
    },
    /// END is missing, or not last.
    #[error("END must be the last command and the only one of its kind")]
    End,
    /// A memory size is impossible.
    #[error("{0}")]
    Memory(&'static str),
}

impl Program {
    /// The commands' bytes.
    pub fn command_bytes(&self) -> Vec<u8> {
        self.commands.iter().flat_map(Record::encode).collect()
    }

    /// Commands from their bytes.
    ///
    /// # Errors
    /// Names the first record that does not decode.
    pub fn decode_commands(bytes: &[u8]) -> Result<Vec<Record>, ProgramError> {
        let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
        if !rest.is_empty() {
            return Err(ProgramError::Length(bytes.len()));
        }
        let decode = |(index, r)| Record::decode(r).map_err(|error| ProgramError::Record { index, error });
        records.iter().enumerate().map(decode).collect()
    }

    /// Checks what can be known without running: every record, that layers follow each other with one SYNC each, END
    /// (of layer 0), sizes.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self) -> Result<(), ProgramError> {
        let mut open = 0;
        for (index, record) in self.commands.iter().enumerate() {
            record.command.check().map_err(|error| ProgramError::Record { index, error })?;
            let (layer, layers) = (record.layer, self.layers.len());
            let fits = match record.command {
                Command::End => layer == 0 && open == layers,
                _ => usize::from(layer) == open && open < layers,
            };
            if !fits {
                return Err(ProgramError::Layer { index, layer, open, layers });
            }
            open += usize::from(record.command == Command::Sync);
        }
        let ends = self.commands.iter().filter(|r| r.command == Command::End).count();
        if ends != 1 || self.commands.last().map(|r| r.command) != Some(Command::End) {
            return Err(ProgramError::End);
        }
        if !self.align.is_power_of_two() {
            return Err(ProgramError::Memory("the alignment is not a power of two"));
        }
        if self.sram_bytes > MAX_SRAM || self.ddr_bytes > MAX_DDR {
            return Err(ProgramError::Memory("a memory is larger than the simulator allows"));
        }
        if self.constants.len() > self.ddr_bytes as usize {
            return Err(ProgramError::Memory("the constants do not fit the DDR"));
        }
        Ok(())
    }
}

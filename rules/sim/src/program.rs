//! A program: commands, constants and the sizes of its memories.

use crate::order::{Race, check_waits};
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
    /// Where a function call begins behind the first one: positions behind a SYNC. Between two calls the accelerator may
    /// do something else, so SRAM holds nothing when a call begins.
    pub calls: Vec<u32>,
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
    /// A record names a layer that does not exist.
    #[error("command {index} says layer {layer}, but there are {layers}")]
    Layer {
        /// Position.
        index: usize,
        /// Layer that it names.
        layer: u16,
        /// Layers there are.
        layers: usize,
    },
    /// A command may start before one that it depends on has finished.
    #[error("command {index} ({name}) does not wait for the {queue} queue, although it depends on a command there")]
    Race {
        /// Position.
        index: usize,
        /// Name of the command.
        name: &'static str,
        /// The queue.
        queue: &'static str,
    },
    /// Two cores touch the same bytes of DDR, one of them writing, without a SYNC between.
    #[error("command {index} ({name}) of core {core} depends on another core's command without a SYNC between")]
    CoreRace {
        /// Position.
        index: usize,
        /// Name of the command.
        name: &'static str,
        /// Its core.
        core: u8,
    },
    /// A function call begins where none can.
    #[error("a function call cannot begin at command {0}: it must stand behind a SYNC, in order")]
    Call(u32),
    /// END is missing, or not last.
    #[error("END must be the last command and the only one of its kind")]
    End,
    /// A memory size is impossible.
    #[error("{0}")]
    Memory(&'static str),
}

impl Program {
    /// Cores that the program uses.
    pub fn cores(&self) -> u8 {
        self.commands.iter().map(|r| r.core).max().unwrap_or(0) + 1
    }

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

    /// Checks what can be known without running: every record, its layer, END (of layer 0), sizes, and that commands wait
    /// for what they depend on.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self) -> Result<(), ProgramError> {
        for (index, record) in self.commands.iter().enumerate() {
            record.command.check().map_err(|error| ProgramError::Record { index, error })?;
            let (layer, layers) = (record.layer, self.layers.len());
            let fits = if record.command == Command::End { layer == 0 } else { usize::from(layer) < layers };
            if !fits {
                return Err(ProgramError::Layer { index, layer, layers });
            }
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
        let mut last = 0;
        for &call in &self.calls {
            let before = (call as usize).checked_sub(1).and_then(|i| self.commands.get(i));
            if call <= last || before.map(|r| r.command) != Some(Command::Sync) {
                return Err(ProgramError::Call(call));
            }
            last = call;
        }
        match check_waits(&self.commands) {
            Some(Race { index, queue }) => {
                let name = self.commands[index].command.name();
                Err(match queue {
                    Some(queue) => ProgramError::Race { index, name, queue: queue.name() },
                    None => ProgramError::CoreRace { index, name, core: self.commands[index].core },
                })
            }
            None => Ok(()),
        }
    }
}

//! Why a program stopped.

/// A program did what no correct program does. Names the command and its layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command {index} ({command} of layer {layer}): {kind}")]
pub struct Trap {
    /// Position in the program.
    pub index: usize,
    /// Name of the command.
    pub command: &'static str,
    /// Name of the layer.
    pub layer: String,
    /// What happened.
    pub kind: TrapKind,
}

/// What a command did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrapKind {
    /// An access outside a memory.
    #[error("{space} bytes {start:#x}..{end:#x} are outside the {size:#x} bytes there are")]
    Range {
        /// `SRAM` or `DDR`.
        space: &'static str,
        /// First byte.
        start: u64,
        /// Behind the last byte.
        end: u64,
        /// Size of the memory.
        size: u64,
    },
    /// A read of bytes that nothing wrote.
    #[error("reads {space} bytes {start:#x}..{end:#x}, of which {first:#x} was never written")]
    Unwritten {
        /// `SRAM` or `DDR`.
        space: &'static str,
        /// First byte.
        start: u64,
        /// Behind the last byte.
        end: u64,
        /// First byte without a value.
        first: u64,
    },
    /// Loaded bytes that are written over, or lost at the end, before anybody has read them.
    #[error("{space} byte {first:#x} was loaded and never read")]
    Unread {
        /// `SRAM` or `DDR`.
        space: &'static str,
        /// First such byte.
        first: u64,
    },
    /// An SRAM address is not aligned.
    #[error("SRAM address {address:#x} is not a multiple of {align}")]
    Unaligned {
        /// Address.
        address: u32,
        /// Alignment of the target.
        align: u32,
    },
    /// The output overlaps an input that is still being read.
    #[error("the output at SRAM {ofm:#x} overlaps the operand at {operand:#x}")]
    Overlap {
        /// Start of the output.
        ofm: u32,
        /// Start of the operand.
        operand: u32,
    },
    /// A number found in memory has no meaning.
    #[error("{0}")]
    Data(&'static str),
}

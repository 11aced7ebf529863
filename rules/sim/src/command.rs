//! Commands of the accelerator and their fixed-size records.
//!
//! A record is 64 bytes, little endian: opcode (1), core (1), layer (2), waits (4, one for each queue, see
//! `order`), then 56 bytes of fields in the order of the command's struct, zero-filled. Decoding refuses whatever encoding
//! cannot produce.

mod conv;
mod eltwise;
mod field;
mod gather;
mod interp;
mod lut;
mod matmul;
mod pool;
mod softmax;
mod table;
mod trans;
mod transfer;

pub use conv::Conv;
pub use eltwise::{ELTWISE_RANK, Eltwise, EltwiseKind};
pub use gather::Gather;
pub use interp::Interp;
pub use lut::Lut;
pub use matmul::MatMul;
pub use pool::{Pool, PoolKind};
pub use softmax::Softmax;
pub use table::record_table;
pub use trans::Trans;
pub use transfer::Transfer;

use crate::QUEUES;
pub(crate) use field::Shown;
use field::{Reader, Writer};

/// Bytes of a record.
pub const RECORD_BYTES: usize = 64;
/// Most cores that one program uses.
pub const MAX_CORES: u8 = 8;
const HEADER_BYTES: usize = 8;

/// What one record asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// DDR → SRAM.
    Load(Transfer),
    /// SRAM → DDR.
    Store(Transfer),
    /// Convolution, any grouping.
    Conv(Conv),
    /// Depthwise convolution; weights are laid out tap by tap.
    DwConv(Conv),
    /// Maximum or average over windows.
    Pool(Pool),
    /// Sum, product, maximum, minimum or quotient of two tiles.
    Eltwise(Eltwise),
    /// Table look-up.
    Lut(Lut),
    /// Strided copy: any permutation of up to four axes.
    Trans(Trans),
    /// Copies pixels by row and column tables (nearest-neighbour resize).
    Gather(Gather),
    /// Weighs four pixels by row and column tables (linear resize).
    Interp(Interp),
    /// Matrix product of two tiles.
    MatMul(MatMul),
    /// Softmax along one axis.
    Softmax(Softmax),
    /// A barrier: everything before is in memory before anything behind it starts.
    Sync,
    /// End of the program.
    End,
}

/// A command and the layer that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Index into the program's layer names.
    pub layer: u16,
    /// For each queue 0, or `k`: start when at most `k - 1` of the commands before this one in it are unfinished.
    pub wait: [u8; QUEUES],
    /// The core that runs it, from 0; waits are those of its own queues. SYNC and END are of core 0 and all cores see them.
    pub core: u8,
    /// The command.
    pub command: Command,
}

/// Why 64 bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Unknown opcode.
    #[error("opcode {0} is unknown")]
    Opcode(u8),
    /// A reserved byte or token is not zero.
    #[error("{name}: a reserved byte is not zero")]
    Reserved {
        /// Command.
        name: &'static str,
    },
    /// A field holds a number without a meaning.
    #[error("{name}: {what}")]
    Field {
        /// Command.
        name: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

impl Command {
    /// Name as in the assembly text.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Load(_) => "LOAD",
            Command::Store(_) => "STORE",
            Command::Conv(_) => "CONV",
            Command::DwConv(_) => "DWCONV",
            Command::Pool(_) => "POOL",
            Command::Eltwise(_) => "ELTWISE",
            Command::Lut(_) => "LUT",
            Command::Trans(_) => "TRANS",
            Command::Gather(_) => "GATHER",
            Command::Interp(_) => "INTERP",
            Command::MatMul(_) => "MATMUL",
            Command::Softmax(_) => "SOFTMAX",
            Command::Sync => "SYNC",
            Command::End => "END",
        }
    }

    fn opcode(&self) -> u8 {
        match self {
            Command::Load(_) => 1,
            Command::Store(_) => 2,
            Command::Conv(_) => 3,
            Command::DwConv(_) => 4,
            Command::Pool(_) => 5,
            Command::Eltwise(_) => 6,
            Command::Lut(_) => 7,
            Command::Trans(_) => 8,
            Command::Gather(_) => 9,
            Command::Interp(_) => 12,
            Command::MatMul(_) => 13,
            Command::Softmax(_) => 14,
            Command::Sync => 10,
            Command::End => 11,
        }
    }

    /// Fields by name, as the assembly text shows them.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        match self {
            Command::Load(c) | Command::Store(c) => c.shown(),
            Command::Conv(c) | Command::DwConv(c) => c.shown(),
            Command::Pool(c) => c.shown(),
            Command::Eltwise(c) => c.shown(),
            Command::Lut(c) => c.shown(),
            Command::Trans(c) => c.shown(),
            Command::Gather(c) => c.shown(),
            Command::Interp(c) => c.shown(),
            Command::MatMul(c) => c.shown(),
            Command::Softmax(c) => c.shown(),
            Command::Sync | Command::End => Vec::new(),
        }
    }

    /// Whether the fields mean something together; what the memory holds is checked when the command runs.
    ///
    /// # Errors
    /// Names the command and what is wrong.
    pub fn check(&self) -> Result<(), RecordError> {
        let checked = match self {
            Command::Load(c) | Command::Store(c) => c.check(),
            Command::Conv(c) => c.check(),
            Command::DwConv(c) => c.check_depthwise(),
            Command::Pool(c) => c.check(),
            Command::Eltwise(c) => c.check(),
            Command::Lut(c) => c.check(),
            Command::Trans(c) => c.check(),
            Command::Gather(c) => c.check(),
            Command::Interp(c) => c.check(),
            Command::MatMul(c) => c.check(),
            Command::Softmax(c) => c.check(),
            Command::Sync | Command::End => Ok(()),
        };
        checked.map_err(|what| RecordError::Field { name: self.name(), what })
    }
}

impl Record {
    /// The record's bytes.
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0u8; RECORD_BYTES];
        bytes[0] = self.command.opcode();
        bytes[1] = self.core;
        bytes[2..4].copy_from_slice(&self.layer.to_le_bytes());
        bytes[4..HEADER_BYTES].copy_from_slice(&self.wait);
        let mut w = Writer::new(&mut bytes[HEADER_BYTES..]);
        match &self.command {
            Command::Load(c) | Command::Store(c) => c.put(&mut w),
            Command::Conv(c) | Command::DwConv(c) => c.put(&mut w),
            Command::Pool(c) => c.put(&mut w),
            Command::Eltwise(c) => c.put(&mut w),
            Command::Lut(c) => c.put(&mut w),
            Command::Trans(c) => c.put(&mut w),
            Command::Gather(c) => c.put(&mut w),
            Command::Interp(c) => c.put(&mut w),
            Command::MatMul(c) => c.put(&mut w),
            Command::Softmax(c) => c.put(&mut w),
            Command::Sync | Command::End => {}
        }
        bytes
    }

    /// Reads and checks a record.
    ///
    /// # Errors
    /// Bytes that [`Record::encode`] cannot produce, and fields without a meaning.
    pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Result<Record, RecordError> {
        let mut r = Reader::new(&bytes[HEADER_BYTES..]);
        let command = match bytes[0] {
            1 => Command::Load(Transfer::take(&mut r)),
            2 => Command::Store(Transfer::take(&mut r)),
            3 => Command::Conv(Conv::take(&mut r)),
            4 => Command::DwConv(Conv::take(&mut r)),
            5 => Command::Pool(Pool::take(&mut r)),
            6 => Command::Eltwise(Eltwise::take(&mut r)),
            7 => Command::Lut(Lut::take(&mut r)),
            8 => Command::Trans(Trans::take(&mut r)),
            9 => Command::Gather(Gather::take(&mut r)),
            10 => Command::Sync,
            11 => Command::End,
            12 => Command::Interp(Interp::take(&mut r)),
            13 => Command::MatMul(MatMul::take(&mut r)),
            14 => Command::Softmax(Softmax::take(&mut r)),
            other => return Err(RecordError::Opcode(other)),
        };
        let name = command.name();
        if let Some(what) = r.problem() {
            return Err(RecordError::Field { name, what });
        }
        let wait = [bytes[4], bytes[5], bytes[6], bytes[7]];
        let core = bytes[1];
        if !r.rest_is_zero() || (command.queue().is_none() && (wait != [0; QUEUES] || core != 0)) {
            return Err(RecordError::Reserved { name });
        }
        if core >= MAX_CORES {
            return Err(RecordError::Field { name, what: "there is no such core" });
        }
        command.check()?;
        Ok(Record { layer: u16::from_le_bytes([bytes[2], bytes[3]]), wait, core, command })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ddr, Elem, Sram};
    use ptq_ir::Rounding;

    fn conv() -> Conv {
        Conv {
            ifm: Sram(0x40),
            weights: Sram(0x400),
            constants: Sram(0x800),
            ofm: Sram(0xc00),
            in_hwc: [5, 6, 8],
            out_hwc: [3, 3, 4],
            kernel: [3, 3],
            strides: [2, 2],
            dilations: [1, 1],
            pad_top: 1,
            pad_left: 1,
            group_channels: 4,
            ofm_pixel: 4,
            x_type: Elem::I8,
            out_type: Elem::I8,
            rounding: Rounding::Fixed,
            x_zero: -128,
            out_zero: 3,
            clamp_lo: -128,
            clamp_hi: 127,
        }
    }

    #[test]
    fn every_command_fits_its_record_and_survives_it() {
        let transfer = Transfer {
            ddr: Ddr(7),
            sram: Sram(64),
            outer: [2, 3],
            bytes: 5,
            ddr_strides: [100, 20],
            sram_strides: [15, 5],
        };
        let trans =
            Trans { src: Sram(0), dst: Sram(64), dims: [1, 2, 3, 4], src_strides: [0, 12, 4, 1], elem: Elem::I32 };
        for command in [
            Command::Load(transfer),
            Command::Store(transfer),
            Command::Conv(conv()),
            Command::Trans(trans),
            Command::Sync,
            Command::End,
        ] {
            let wait = if command.queue().is_some() { [0, 1, 2, 255] } else { [0; QUEUES] };
            let core = if command.queue().is_some() { 7 } else { 0 };
            let record = Record { layer: 513, wait, core, command };
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn reserved_bytes_unknown_words_and_impossible_geometry_are_refused() {
        let good = Record { layer: 0, wait: [0; QUEUES], core: 0, command: Command::Conv(conv()) }.encode();
        let mut bytes = good;
        bytes[63] = 1;
        assert_eq!(Record::decode(&bytes), Err(RecordError::Reserved { name: "CONV" }));
        let mut bytes = good;
        bytes[1] = MAX_CORES;
        assert!(matches!(Record::decode(&bytes), Err(RecordError::Field { name: "CONV", .. })));
        let mut bytes = good;
        bytes[0] = 99;
        assert_eq!(Record::decode(&bytes), Err(RecordError::Opcode(99)));
        for broken in [
            Conv { strides: [0, 1], ..conv() },
            Conv { kernel: [0, 1], ..conv() },
            Conv { group_channels: 3, ..conv() },
            Conv { x_zero: 128, ..conv() },
            Conv { clamp_lo: 5, clamp_hi: 4, ..conv() },
            Conv { x_type: Elem::I32, ..conv() },
        ] {
            let bytes = Record { layer: 0, wait: [0; QUEUES], core: 0, command: Command::Conv(broken) }.encode();
            assert!(matches!(Record::decode(&bytes), Err(RecordError::Field { name: "CONV", .. })), "{broken:?}");
        }
    }
}

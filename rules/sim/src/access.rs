//! Which bytes a command touches. Ranges reach from the first to behind the last byte.

use crate::simulator::{conv, eltwise, interp, lines, moves, pool};
use crate::{Command, Sram, Transfer};
use std::ops::Range;

/// Bytes of both memories that a command touches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// SRAM ranges that are read; empty ones are left out.
    pub(crate) sram_reads: Vec<Range<u64>>,
    /// SRAM range that is written.
    pub(crate) sram_write: Option<Range<u64>>,
    /// DDR range that is read.
    pub(crate) ddr_read: Option<Range<u64>>,
    /// DDR range that is written.
    pub(crate) ddr_write: Option<Range<u64>>,
}

impl Access {
    pub(crate) fn of(command: &Command) -> Access {
        let range = |at: u64, bytes: u64| at..at.saturating_add(bytes);
        let sram = |t: &Transfer| range(t.sram.0.into(), t.sram_reach());
        let ddr = |t: &Transfer| range(t.ddr.0.into(), t.ddr_bytes());
        match command {
            Command::Load(t) => Access { sram_write: Some(sram(t)), ddr_read: Some(ddr(t)), ..Access::default() },
            Command::Store(t) => Access { sram_reads: vec![sram(t)], ddr_write: Some(ddr(t)), ..Access::default() },
            Command::Sync | Command::End => Access::default(),
            _ => {
                let (reads, (at, bytes)) = operands(command);
                let reads = reads.into_iter().filter(|(_, bytes)| *bytes > 0);
                Access {
                    sram_reads: reads.map(|(at, bytes)| range(at.0.into(), bytes)).collect(),
                    sram_write: Some(range(at.0.into(), bytes)),
                    ..Access::default()
                }
            }
        }
    }
}

/// What a computing command reads and writes in SRAM, as (start, bytes).
pub(crate) fn operands(command: &Command) -> (Vec<(Sram, u64)>, (Sram, u64)) {
    let area = |extents: &[u16]| extents.iter().map(|&v| u64::from(v)).product::<u64>();
    match command {
        Command::Conv(c) | Command::DwConv(c) => (conv::operands(c).to_vec(), (c.ofm, c.ofm_reach())),
        Command::Pool(c) => {
            let bytes = area(&c.out_hw) * u64::from(c.in_hwc[2]) * c.elem.bytes() as u64;
            (pool::operands(c).to_vec(), (c.ofm, bytes))
        }
        Command::Eltwise(c) => {
            let bytes = c.dims.iter().map(|&d| u64::from(d)).fold(c.out_type.bytes() as u64, u64::saturating_mul);
            (eltwise::operands(c).to_vec(), (c.ofm, bytes))
        }
        Command::Lut(c) => (moves::lut_operands(c).to_vec(), (c.ofm, u64::from(c.count) * c.out_bytes() as u64)),
        Command::Trans(c) => {
            let count = c.dims.iter().map(|&d| u64::from(d)).fold(1, u64::saturating_mul);
            let bytes = count.saturating_mul(c.elem.bytes() as u64);
            (vec![(c.src, moves::trans_reach(c))], (c.dst, bytes))
        }
        Command::Gather(c) => {
            (moves::gather_operands(c).to_vec(), (c.dst, area(&c.out_hw).saturating_mul(c.pixel_bytes.into())))
        }
        Command::Interp(c) => {
            (interp::operands(c).to_vec(), (c.dst, area(&c.out_hw).saturating_mul(c.channels.into())))
        }
        Command::MatMul(c) => {
            let bytes = u64::from(c.mkn[0]).saturating_mul(c.mkn[2].into()).saturating_mul(c.out_type.bytes() as u64);
            (lines::matmul_operands(c).to_vec(), (c.ofm, bytes))
        }
        Command::Softmax(c) => {
            let reads = lines::softmax_operands(c);
            (reads.to_vec(), (c.ofm, reads[0].1))
        }
        Command::Load(_) | Command::Store(_) | Command::Sync | Command::End => (Vec::new(), (Sram(0), 0)),
    }
}

impl Command {
    /// Bytes of SRAM that the command reads, in the order of its fields; some may be none.
    pub fn sram_reads(&self) -> Vec<(Sram, u64)> {
        match self {
            Command::Store(t) => vec![(t.sram, t.sram_reach())],
            _ => operands(self).0,
        }
    }

    /// Bytes of SRAM that the command writes, from the first to behind the last.
    pub fn sram_write(&self) -> Option<(Sram, u64)> {
        match self {
            Command::Load(t) => Some((t.sram, t.sram_reach())),
            Command::Store(_) | Command::Sync | Command::End => None,
            _ => Some(operands(self).1),
        }
    }

    /// The command at other SRAM addresses: those of `sram_reads`, then that of `sram_write`. Addresses that are missing
    /// stay.
    pub fn at_sram(mut self, addresses: &[Sram]) -> Command {
        let fields: Vec<&mut Sram> = match &mut self {
            Command::Load(t) | Command::Store(t) => vec![&mut t.sram],
            Command::Conv(c) | Command::DwConv(c) => vec![&mut c.ifm, &mut c.weights, &mut c.constants, &mut c.ofm],
            Command::Pool(c) => vec![&mut c.ifm, &mut c.constants, &mut c.ofm],
            Command::Eltwise(c) => vec![&mut c.a, &mut c.b, &mut c.ofm],
            Command::Lut(c) => vec![&mut c.ifm, &mut c.table, &mut c.ofm],
            Command::Trans(c) => vec![&mut c.src, &mut c.dst],
            Command::Gather(c) => vec![&mut c.src, &mut c.rows, &mut c.cols, &mut c.dst],
            Command::Interp(c) => vec![&mut c.src, &mut c.rows, &mut c.cols, &mut c.dst],
            Command::MatMul(c) => vec![&mut c.a, &mut c.b, &mut c.ofm],
            Command::Softmax(c) => vec![&mut c.x, &mut c.table, &mut c.ofm],
            Command::Sync | Command::End => Vec::new(),
        };
        fields.into_iter().zip(addresses).for_each(|(field, at)| *field = *at);
        self
    }
}

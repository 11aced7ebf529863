//! The functional simulator: runs a program command by command, exactly, or traps.
//!
//! Own loops over compact channels-last tiles; only the requantization functions are shared with the rest of the house.
//! Time is in `timing`.

pub(crate) mod conv;
mod dot;
pub(crate) mod eltwise;
pub(crate) mod interp;
pub(crate) mod lines;
pub(crate) mod moves;
pub(crate) mod pool;
mod scale;

use crate::memory::Memory;
use crate::{Command, Conv, Program, Sram, Transfer, Trap, TrapKind};

/// State of a run: both memories of one program.
#[derive(Debug)]
pub struct Simulator<'a> {
    program: &'a Program,
    /// One for each core.
    sram: Vec<Memory>,
    ddr: Memory,
}

impl<'a> Simulator<'a> {
    /// Memories before the run: the constants are in DDR, everything else is unwritten. The program must have passed
    /// [`Program::check`]; one that did not may trap, but never reads or writes outside its memories.
    pub fn new(program: &'a Program) -> Simulator<'a> {
        let mut ddr = Memory::lazy("DDR", program.ddr_bytes.max(program.constants.len() as u32));
        ddr.write(0, &program.constants).expect("invariant: the memory is at least as large as the constants");
        let sram = (0..program.cores()).map(|_| Memory::poisoned("SRAM", program.sram_bytes)).collect();
        Simulator { program, sram, ddr }
    }

    /// Writes an input into DDR before the run.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn write_ddr(&mut self, address: u32, data: &[u8]) -> Result<(), TrapKind> {
        self.ddr.write(u64::from(address), data)
    }

    /// Bytes of DDR that the program has written.
    ///
    /// # Errors
    /// When a byte is out of range or unwritten.
    pub fn read_ddr(&self, address: u32, len: usize) -> Result<&[u8], TrapKind> {
        self.ddr.read(u64::from(address), len as u64)
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The command that did what no correct program does.
    pub fn run(&mut self) -> Result<(), Trap> {
        let mut calls = self.program.calls.iter().peekable();
        for (index, record) in self.program.commands.iter().enumerate() {
            let trap = |kind| Trap {
                index,
                command: record.command.name(),
                layer: self.program.layers.get(usize::from(record.layer)).cloned().unwrap_or_default(),
                kind,
            };
            if record.command == Command::End {
                self.sram.iter().try_for_each(Memory::end).map_err(trap)?;
            } else if calls.next_if(|&&call| call as usize == index).is_some() {
                self.sram.iter_mut().try_for_each(Memory::forget).map_err(trap)?;
            }
            self.execute(usize::from(record.core), &record.command, index as u32 + 1).map_err(trap)?;
        }
        Ok(())
    }

    fn execute(&mut self, core: usize, command: &Command, number: u32) -> Result<(), TrapKind> {
        let align = self.program.align;
        let sram = &mut self.sram[core];
        match command {
            Command::Load(t) => {
                aligned(align, &[t.sram])?;
                sram.bounds(u64::from(t.sram.0), t.sram_reach())?;
                transfer(t, |ddr, at, n| sram.bring(at, self.ddr.read(ddr, n)?, number))
            }
            Command::Store(t) => {
                sram.bounds(u64::from(t.sram.0), t.sram_reach())?;
                transfer(t, |ddr, at, n| self.ddr.write(ddr, sram.read(at, n)?))
            }
            Command::Conv(c) => {
                aligned(align, &[c.weights, c.constants])?;
                let out = conv::conv(c, sram)?;
                commit_pixels(sram, c, &out, number)
            }
            Command::DwConv(c) => {
                aligned(align, &[c.weights, c.constants])?;
                let out = conv::depthwise(c, sram)?;
                commit_pixels(sram, c, &out, number)
            }
            Command::Pool(c) => {
                aligned(align, &[c.constants])?;
                let out = pool::pool(c, sram)?;
                commit(sram, c.ofm, &out, &pool::operands(c), (number, false))
            }
            Command::Eltwise(c) => {
                let out = eltwise::eltwise(c, sram)?;
                commit(sram, c.ofm, &out, &eltwise::operands(c), (number, false))
            }
            Command::Lut(c) => {
                aligned(align, &[c.table])?;
                let out = moves::lut(c, sram)?;
                commit(sram, c.ofm, &out, &moves::lut_operands(c), (number, false))
            }
            Command::Trans(c) => {
                aligned(align, &[c.src, c.dst])?;
                let out = moves::trans(c, sram)?;
                commit(sram, c.dst, &out, &[(c.src, moves::trans_reach(c))], (number, true))
            }
            Command::Gather(c) => {
                aligned(align, &[c.src, c.dst, c.rows, c.cols])?;
                let out = moves::gather(c, sram)?;
                commit(sram, c.dst, &out, &moves::gather_operands(c), (number, true))
            }
            Command::Interp(c) => {
                aligned(align, &[c.src, c.dst, c.rows, c.cols])?;
                let out = interp::interp(c, sram)?;
                commit(sram, c.dst, &out, &interp::operands(c), (number, true))
            }
            Command::MatMul(c) => {
                aligned(align, &[c.a, c.b, c.ofm])?;
                let out = lines::matmul(c, sram)?;
                commit(sram, c.ofm, &out, &lines::matmul_operands(c), (number, true))
            }
            Command::Softmax(c) => {
                aligned(align, &[c.x, c.table, c.ofm])?;
                let out = lines::softmax(c, sram)?;
                commit(sram, c.ofm, &out, &lines::softmax_operands(c), (number, true))
            }
            Command::Sync | Command::End => Ok(()),
        }
    }
}

fn aligned(align: u32, addresses: &[Sram]) -> Result<(), TrapKind> {
    match addresses.iter().find(|a| !a.0.is_multiple_of(align)) {
        Some(a) => Err(TrapKind::Unaligned { address: a.0, align }),
        None => Ok(()),
    }
}

/// Runs of a transfer as (DDR address, SRAM address, bytes).
fn transfer(t: &Transfer, mut copy: impl FnMut(u64, u64, u64) -> Result<(), TrapKind>) -> Result<(), TrapKind> {
    let (ddr, sram) = (u64::from(t.ddr.0), u64::from(t.sram.0));
    t.runs().try_for_each(|(d, s)| copy(ddr + d, sram + s, u64::from(t.bytes)))
}

/// Writes the result of a convolution, pixel by pixel where it is a part of a tile's channels.
fn commit_pixels(sram: &mut Memory, c: &Conv, out: &[u8], number: u32) -> Result<(), TrapKind> {
    refuse_overlap(c.ofm, c.ofm_reach(), &conv::operands(c))?;
    let elem = c.out_type.bytes();
    if c.ofm_pixel == c.out_hwc[2] {
        return sram.put(u64::from(c.ofm.0), out, number);
    }
    let step = u64::from(c.ofm_pixel) * elem as u64;
    let pixels = out.chunks_exact(usize::from(c.out_hwc[2]) * elem);
    pixels.zip(0u64..).try_for_each(|(pixel, i)| sram.put(u64::from(c.ofm.0) + i * step, pixel, number))
}

/// Writes a result, unless it overlaps an operand (start, bytes): the hardware reads those while it writes. `by`: the command's number,
/// and whether all of the result must be read. Between layers that are computed a stripe at a time, rows may lie between two windows.
fn commit(sram: &mut Memory, ofm: Sram, out: &[u8], operands: &[(Sram, u64)], by: (u32, bool)) -> Result<(), TrapKind> {
    refuse_overlap(ofm, out.len() as u64, operands)?;
    match by {
        (number, true) => sram.bring(u64::from(ofm.0), out, number),
        (number, false) => sram.put(u64::from(ofm.0), out, number),
    }
}

fn refuse_overlap(ofm: Sram, bytes: u64, operands: &[(Sram, u64)]) -> Result<(), TrapKind> {
    let (from, to) = (u64::from(ofm.0), u64::from(ofm.0) + bytes);
    let overlaps = |&&(start, bytes): &&(Sram, u64)| {
        let start = u64::from(start.0);
        start < to && from < start + bytes
    };
    if let Some((operand, _)) = operands.iter().find(overlaps) {
        return Err(TrapKind::Overlap { ofm: ofm.0, operand: operand.0 });
    }
    Ok(())
}

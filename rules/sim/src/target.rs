//! The part of a march's hardware table that decides whether a program fits; made by compile.

use ptq_march::Hardware;

/// Memory of one accelerator core as the lowering sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Scratch memory in bytes.
    pub sram_bytes: u32,
    /// Alignment of every scratch address in bytes; a power of two.
    pub align: u32,
}

impl From<&Hardware> for Target {
    fn from(hardware: &Hardware) -> Target {
        Target { sram_bytes: hardware.sram_bytes, align: hardware.align }
    }
}

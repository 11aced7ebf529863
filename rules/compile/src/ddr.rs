//! Places in external memory: constants from address 0, everything else behind them.

use ptq_sim::Target;

/// Where data is in DDR before the size of the constants is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Offset into the constants.
    Constant(u64),
    /// Offset into the arena behind the constants.
    Arena(u64),
}

impl Place {
    /// The place `bytes` further on.
    pub(crate) fn offset(self, bytes: usize) -> Place {
        match self {
            Place::Constant(at) => Place::Constant(at + bytes as u64),
            Place::Arena(at) => Place::Arena(at + bytes as u64),
        }
    }
}

/// Constants and arena under construction. The arena never reuses memory at O0, so that every layer's result is still
/// there when the program ends.
#[derive(Debug)]
pub(crate) struct DdrBump {
    align: u64,
    constants: Vec<u8>,
    arena: u64,
}

impl DdrBump {
    pub(crate) fn new(target: Target) -> DdrBump {
        DdrBump { align: u64::from(target.align), constants: Vec::new(), arena: 0 }
    }

    /// Makes room for this many bytes of constants, so that none of them is copied when more follow.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.constants.reserve_exact(bytes);
    }

    /// Adds constant bytes.
    pub(crate) fn constant(&mut self, bytes: &[u8]) -> Place {
        self.constant_with(|out| out.extend_from_slice(bytes))
    }

    /// Adds the constant bytes that `write` appends.
    pub(crate) fn constant_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Place {
        let start = self.constants.len().next_multiple_of(self.align as usize);
        self.constants.resize(start, 0);
        write(&mut self.constants);
        Place::Constant(start as u64)
    }

    /// Reserves memory for a result or an input.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Place {
        let start = self.arena.next_multiple_of(self.align);
        self.arena = start.saturating_add(bytes as u64);
        Place::Arena(start)
    }

    /// Constants, start of the arena, and size of the whole.
    pub(crate) fn finish(self) -> (Vec<u8>, u64, u64) {
        let base = (self.constants.len() as u64).next_multiple_of(self.align);
        (self.constants, base, base.saturating_add(self.arena))
    }
}

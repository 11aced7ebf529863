//! The queues that commands wait in. Commands of one queue run in order; queues run beside each other.

use crate::Command;

/// Number of queues.
pub const QUEUES: usize = 4;

/// A unit with its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// DDR → SRAM.
    Load,
    /// Convolutions.
    Mac,
    /// Everything else that computes or moves inside the SRAM.
    Vector,
    /// SRAM → DDR.
    Store,
}

impl Queue {
    /// All queues, in the order of a record's waits.
    pub const ALL: [Queue; QUEUES] = [Queue::Load, Queue::Mac, Queue::Vector, Queue::Store];

    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Queue::Load => "load",
            Queue::Mac => "mac",
            Queue::Vector => "vector",
            Queue::Store => "store",
        }
    }

    /// Position in [`Queue::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

impl Command {
    /// The queue that runs this command; none for SYNC and END, which every queue sees.
    pub fn queue(&self) -> Option<Queue> {
        match self {
            Command::Load(_) => Some(Queue::Load),
            Command::Store(_) => Some(Queue::Store),
            Command::Conv(_) | Command::DwConv(_) | Command::MatMul(_) => Some(Queue::Mac),
            Command::Pool(_)
            | Command::Eltwise(_)
            | Command::Lut(_)
            | Command::Trans(_)
            | Command::Gather(_)
            | Command::Interp(_)
            | Command::Softmax(_) => Some(Queue::Vector),
            Command::Sync | Command::End => None,
        }
    }
}

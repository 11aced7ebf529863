//! The accelerator's program: its command format, the functional simulator that runs it, and the `.bin` file around it.
//!
//! A [`Program`] is a list of fixed-size [`Record`]s over two address spaces, DDR and SRAM; [`Simulator`] interprets it
//! on bounded byte arrays and traps instead of guessing. [`artifact`] is the artifact: tensors, segments, programs,
//! checksum. [`check`] states when an integer operator fits its tensors. Written by `ptq-compile`, read by
//! `ptq-runtime`. Not here: how a graph becomes commands (`ptq-compile`), float operators (`ptq-exec`).
//! Start at [`Command`], then [`Simulator`], then [`artifact::Model`].

mod access;
pub mod artifact;
pub mod check;
mod command;
mod dataflow;
mod dump;
mod elem;
mod memory;
mod order;
mod program;
mod queue;
mod simulator;
mod storage;
mod target;
pub mod timing;
mod trap;

pub use command::{
    Command, Conv, ELTWISE_RANK, Eltwise, EltwiseKind, Gather, Interp, Lut, MAX_CORES, MatMul, Pool, PoolKind,
    RECORD_BYTES, Record, RecordError, Softmax, Trans, Transfer, record_table,
};
pub use dataflow::{Maker, makers};
pub use dump::dump;
pub use elem::{Ddr, Elem, Sram};
pub use order::{Race, add_waits, serialize};
pub use program::{CHANNEL_CONSTANT_BYTES, Program, ProgramError, TAP_CONSTANT_BYTES};
pub use queue::{QUEUES, Queue};
pub use simulator::Simulator;
pub use storage::{
    depth_to_space_axes, from_storage, line_dims, matrix_batches, space_to_depth_axes, storage_axes, storage_dims,
    to_storage,
};
pub use target::Target;
pub use trap::{Trap, TrapKind};

//! The compile stage: integer program + march → `.bin`.
//!
//! [`CompileRule`] is the stage; [`compile`] the function behind it. On a march with hardware every BPU segment becomes
//! a program of the accelerator (`lowering`, one file an operator family); on march `cpu` it stays a list of integer
//! nodes, whose weights the runtime packs when it loads them. Not here: the file and the commands (`ptq-sim`), running
//! them (`ptq-runtime`).

mod compile;
mod ddr;
mod level;
mod lowering;
mod rule;
mod segment;
mod sram;
mod transfer;

pub use compile::compile;
pub use level::OptimizeLevel;
pub use rule::{CompileParams, CompileRule};

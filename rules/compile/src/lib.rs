//! The compile stage: integer program + march → `.bin`.
//!
//! [`CompileRule`] is the stage; [`compile`] the function behind it. On a march with hardware every BPU segment becomes
//! a program of the accelerator: `lowering` (one file an operator family) cuts every layer by itself, `search` tries
//! [`Plan`]s that group layers, `emit` follows a plan, `arrange` moves loads ahead and gives out memory; on march `cpu` it stays a list of integer
//! nodes, whose weights the runtime packs when it loads them. Not here: the file and the commands (`ptq-sim`), running
//! them (`ptq-runtime`).

pub mod allocate;
mod arrange;
mod base;
mod compile;
mod ddr;
mod division;
mod emit;
mod flow;
mod fusable;
mod level;
mod lowering;
mod plan;
mod rows;
mod rule;
mod search;
mod segment;
mod sram;
mod transfer;

pub use compile::{Options, compile, compile_with};
pub use division::{Division, Followed};
pub use level::OptimizeLevel;
pub use plan::{Form, Group, Plan};
pub use rule::{CompileParams, CompileRule, REPLAY};
pub use search::{CompileMode, CostTable, Report, Search, Spread, Without};

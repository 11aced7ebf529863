//! Float and exact integer kernels, and requantization.
//!
//! What: the arithmetic of the project on plain slices. Not here: graphs (`ptq-exec`, `ptq-sim`), files, decisions.
//! Called by the interpreter, the simulator, the executor and partition. Every function gives the same bits on
//! every machine and for every number of threads: SIMD is chosen at run time and repeats a scalar version exactly.

pub mod requant;

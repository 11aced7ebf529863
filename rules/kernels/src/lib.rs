//! Float and exact integer kernels, and requantization.
//!
//! What: the arithmetic of the project on plain slices. Not here: graphs (`ptq-exec`, `ptq-sim`), files, decisions.
//! Called by the interpreter, the simulator, the executor and partition. Every function gives the same bits on
//! every machine and for every number of threads: SIMD is chosen at run time ([`Isa`]) and repeats a scalar version
//! exactly. Start at [`requant`], [`FloatConv`], [`IntConv`].

// What only the vector kernels of x86-64 use.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

mod error;
mod extremes;
mod float;
mod int;
mod isa;
pub mod lattice;
pub mod math;
mod parallel;
mod places;
mod planes;
pub mod requant;
mod team;
mod vectorized;

pub use error::KernelError;
pub use extremes::extremes;
pub use float::{Activation, FloatConv, Start, average_pool, dot_f64, map, matmul, max_of, max_pool, mean, sum};
pub use int::{
    IntAdd, IntAveragePool, IntConv, IntConvSpec, IntImage, IntMatMul, IntMul, MAX_WEIGHTS, Sign, Stored, WordConv,
    WordMatMul, WordPairs, byte_lines, byte_pairs, bytes_of, bytes_of_mut, dequantize_bytes, dequantize_rows,
    fake_quantize, int_max_pool, lookup, multiply_add_loop, quantize_bytes, requant_table, swap_axes, to_nchw, to_nhwc,
    word_lookup, word_map,
};
pub use isa::Isa;
pub use parallel::split;
pub use places::{Found, Places, Run};
pub use vectorized::vectorized;
